"""Writes the table of machine sizes anew: `make vm-sizes`.

What each size holds and costs is read from published packages, whose versions are pinned here, and from the few figures
of the vendors' own pages below. Only facts are taken over: names, numbers, prices. Needs `pip`, `go` and the network.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

DATE = "2026-11-28"
TABLE = Path(__file__).parent.parent / "components" / "trainstack" / "core" / "compute" / "vm_sizes.tsv"
BOAVIZTA = "boaviztapi==2.5.0"
KARPENTER = ("github.com/aws/karpenter-provider-aws", "v1.15.2")

HEADER = f"""\
# What machines of Azure, AWS and Google Cloud hold and cost. Written by tools/vm_sizes.py on {DATE}; do not edit.
# CPUs, GiB, GPUs: {BOAVIZTA} (AGPL-3.0; figures of the vendors and of instances.vantage.sh), and pages of
#   learn.microsoft.com/azure/virtual-machines/sizes and cloud.google.com/compute/docs for what it lacks.
# Prices: US dollars an hour, Linux, on demand and spot, without discounts; a dash where none is published there.
#   AWS, us-east-1: {KARPENTER[0]} {KARPENTER[1]} (Apache-2.0, 2026-07-20), spot's share of 2024.
#   Azure, East US: instances.vantage.sh of 2024, in {BOAVIZTA}.
#   Google, us-central1: rates by family of kubernetes/autoscaler (Apache-2.0, 2026).
# name\tcpus\tgib\tgpus\tgpu\tgpu_gib\tprice\tspot
"""


@dataclass(frozen=True)
class Row:
    """One size. `gpu_gib` is the memory of one GPU."""

    name: str
    cpus: int
    gib: float
    gpus: float = 0
    gpu: str = ""
    gpu_gib: float = 0
    price: float = 0
    spot: float = 0

    @property
    def line(self) -> str:
        """The row as the table has it."""
        numbers = [f"{value:g}" for value in (self.cpus, self.gib, self.gpus)]
        rest = [self.gpu or "-", *(f"{value:.6g}" if value else "-" for value in (self.gpu_gib, self.price, self.spot))]
        return "\t".join([self.name, *numbers, *rest])


# Model by the first letters of a size's name, and GiB of one GPU; longer beginnings go before.
AWS_GPUS = {
    "g2.": ("nvidia-k520", 4),
    "g3": ("nvidia-m60", 8),
    "g4ad.": ("amd-v520", 8),
    "g4dn.": ("nvidia-t4", 16),
    "g5.": ("nvidia-a10g", 24),
    "g5g.": ("nvidia-t4g", 16),
    "g6.": ("nvidia-l4", 24),
    "g6e.": ("nvidia-l40s", 48),
    "g6f.": ("nvidia-l4", 24),
    "g7.": ("nvidia-rtx-pro-4500", 32),
    "g7e.": ("nvidia-rtx-pro-6000", 96),
    "gr6.": ("nvidia-l4", 24),
    "gr6f.": ("nvidia-l4", 24),
    "p2.": ("nvidia-k80", 12),
    "p3.": ("nvidia-v100", 16),
    "p3dn.": ("nvidia-v100", 32),
    "p4d.": ("nvidia-a100-40gb", 40),
    "p4de.": ("nvidia-a100-80gb", 80),
    "p5.": ("nvidia-h100", 80),
    "p5e.": ("nvidia-h200", 141),
    "p5en.": ("nvidia-h200", 141),
    "p6-b200.": ("nvidia-b200", 180),
    "p6-b300.": ("nvidia-b300", 268),
}
AWS_OTHER_SERVICES = ("cache.", "db.", "dc2.", "ds2.", "ra3.")
# GiB a CPU of families that the source lacks; Amazon's names say the CPUs.
AWS_FAMILIES = {"c8a": 2, "m8a": 4, "r8a": 8, "i7i": 8, "i7ie": 8}
AWS_MORE = (
    Row("p5e.48xlarge", 192, 2048, 8),
    Row("p6-b200.48xlarge", 192, 2048, 8),
    Row("p6-b300.48xlarge", 192, 4096, 8),
)
AZURE_GPUS = {
    "A10": ("nvidia-a10", 24),
    "A100": ("nvidia-a100-80gb", 80),
    "H100": ("nvidia-h100", 80),
    "K80": ("nvidia-k80", 12),
    "M60": ("nvidia-m60", 8),
    "MI25": ("amd-mi25", 16),
    "P100": ("nvidia-p100", 16),
    "P40": ("nvidia-p40", 24),
    "T4": ("nvidia-t4", 16),
    "V100": ("nvidia-v100", 16),
}
AZURE_CORRECTED = {
    # The vendor's names and figures, where the source has others.
    "Standard_ND96asr_A100_v4": Row("Standard_ND96asr_v4", 96, 900, 8, "nvidia-a100-40gb", 40),
    "Standard_ND96amsr_A100_v4": Row("Standard_ND96amsr_A100_v4", 96, 1900, 8, "nvidia-a100-80gb", 80),
    "Standard_ND40rs_v2": Row("Standard_ND40rs_v2", 40, 672, 8, "nvidia-v100", 32),
    "Standard_NC64as_T4_v3": Row("Standard_NC64as_T4_v3", 64, 440, 4, "nvidia-t4", 16),
    "Standard_NV6adsv5": Row("Standard_NV6ads_A10_v5", 6, 55, 1, "nvidia-a10", 4),
}
# GiB, where Microsoft's pages have another figure than the source.
AZURE_MEMORY = {
    **{f"Standard_E64a{s}_v4": 512 for s in ("", "s")},
    **{f"Standard_EC{cpus}es_v5": 8 * cpus for cpus in (2, 4, 8, 16, 32, 48, 64)},
    **{f"Standard_EC32a{d}s_v5": 192 for d in ("", "d")},
    **{f"Standard_HB176{part}rs_v4": 768 for part in ("", "-144")},
    **{f"Standard_HX176{part}rs": 1408 for part in ("", "-144")},
    "Standard_HB120rs_v2": 456,
    "Standard_M128-32ms": 3892,
    "Standard_M64-16ms": 1792,
    **{f"Standard_NP{cpus}s": cpus * 16.8 for cpus in (10, 20, 40)},
}
# Series that the source lacks: pattern, CPUs, GiB a CPU.
AZURE_SERIES = (
    *((f"Standard_D{{}}{suffix}_v7", (2, 4, 8, 16, 32, 48, 64, 96, 128, 160), 4) for suffix in ("as", "ads")),
    *((f"Standard_D{{}}{suffix}_v7", (2, 4, 8, 16, 32, 48, 64, 96, 128, 160), 2) for suffix in ("als", "alds")),
    *((f"Standard_E{{}}{suffix}_v7", (2, 4, 8, 16, 20, 32, 48, 64, 96, 128, 160), 8) for suffix in ("as", "ads")),
    *((f"Standard_D{{}}{suffix}_v6", (2, 4, 8, 16, 32, 48, 64, 96, 128, 192), 4) for suffix in ("s", "ds")),
    *((f"Standard_D{{}}{suffix}_v6", (2, 4, 8, 16, 32, 48, 64, 96, 128), 2) for suffix in ("ls", "lds")),
    *((f"Standard_E{{}}{suffix}_v6", (2, 4, 8, 16, 20, 32, 48, 64, 96, 128), 8) for suffix in ("s", "ds")),
    *((f"Standard_D{{}}{suffix}_v6", (2, 4, 8, 16, 32, 48, 64, 96), 4) for suffix in ("ps", "pds")),
    *((f"Standard_D{{}}{suffix}_v6", (2, 4, 8, 16, 32, 48, 64, 96), 2) for suffix in ("pls", "plds")),
)
AZURE_MORE = (
    Row("Standard_NC40ads_H100_v5", 40, 320, 1, "nvidia-h100", 94),
    Row("Standard_NC80adis_H100_v5", 80, 640, 2, "nvidia-h100", 94),
    Row("Standard_ND96isr_H200_v5", 96, 1850, 8, "nvidia-h200", 141),
    Row("Standard_ND96isr_MI300X_v5", 96, 1850, 8, "amd-mi300x", 192),
    Row("Standard_ND128isr_NDR_GB200_v6", 128, 900, 4, "nvidia-gb200", 192),
)
GOOGLE_GPUS = {
    "a2-highgpu": ("nvidia-a100-40gb", 40),
    "a2-megagpu": ("nvidia-a100-40gb", 40),
    "a2-ultragpu": ("nvidia-a100-80gb", 80),
    "a3-": ("nvidia-h100", 80),
    "a3-ultragpu": ("nvidia-h200", 141),
    "a4-": ("nvidia-b200", 180),
    "a4x-": ("nvidia-gb200", 186),
    "g2-": ("nvidia-l4", 24),
    "g4-": ("nvidia-rtx-pro-6000", 96),
}
GOOGLE_MORE = (
    Row("a2-ultragpu-1g", 12, 170, 1),
    Row("a4-highgpu-8g", 224, 3968, 8),
    Row("a4x-highgpu-4g", 140, 884, 4),
    Row("g4-standard-48", 48, 180, 1, price=4.5001),
    Row("g4-standard-96", 96, 360, 2, price=9.0002),
    Row("g4-standard-192", 192, 720, 4, price=18.0003),
    Row("g4-standard-384", 384, 1440, 8, price=36.0006),
)
# Dollars an hour of a CPU, a GiB, and what spot is of them.
GOOGLE_RATES = {
    "a2": (0.031611, 0.004237, 0.300),
    "c2": (0.03398, 0.00455, 0.242),
    "c2d": (0.029563, 0.003959, 0.242),
    "c3": (0.03398, 0.00456, 0.091),
    "c3d": (0.02956, 0.003956, 0.400),
    "e2": (0.021811, 0.002923, 0.300),
    "g2": (0.024988, 0.002927, 0.300),
    "m1": (0.0348, 0.0051, 0.211),
    "n1": (0.031611, 0.004237, 0.211),
    "n2": (0.031611, 0.004237, 0.242),
    "n2d": (0.027502, 0.003686, 0.101),
    "n4": (0.030821, 0.004131, 0.259),
    "t2d": (0.027502, 0.003686, 0.242),
    "z3": (0.0496531, 0.0066553, 0.332),
}
GOOGLE_GPU_RATES = {"nvidia-l4": 0.560, "nvidia-a100-40gb": 2.9339, "nvidia-a100-80gb": 3.9692}
GOOGLE_SHARED = {"e2-micro": 0.00838, "e2-small": 0.01675, "e2-medium": 0.03351, "f1-micro": 0.0076, "g1-small": 0.0257}


def main() -> None:
    """Write the table."""
    boavizta = _boavizta()
    rows: dict[str, Row] = {}
    for row in (*_aws(boavizta), *_azure(boavizta), *_google(boavizta)):
        rows[row.name.lower()] = row
    text = HEADER + "".join(f"{rows[name].line}\n" for name in sorted(rows))
    TABLE.write_text(text, encoding="utf-8")
    print(f"{len(rows)} sizes, {sum(row.gpus > 0 for row in rows.values())} with GPUs, "
          f"{sum(row.price > 0 for row in rows.values())} with a price: {TABLE}")  # fmt: skip


def _aws(boavizta: zipfile.ZipFile) -> list[Row]:
    prices = _aws_prices()
    shares = {
        row["API Name"]: _dollars(row["Linux Spot Minimum cost"]) / _dollars(row["On Demand"])
        for row in _csv(boavizta, "utils/complete_AWS_EC2/vantage-export.csv")
        if _dollars(row["Linux Spot Minimum cost"]) and _dollars(row["On Demand"])
    }
    known = [*_archetypes(boavizta, "aws"), *AWS_MORE]
    known += _aws_families(prices.keys() - {row.name for row in known})
    rows: list[Row] = []
    for row in known:
        if not re.fullmatch(r"[a-z0-9-]+\.[a-z0-9-]+", row.name) or row.name.startswith(AWS_OTHER_SERVICES):
            continue
        gpu, gib = _by_beginning(AWS_GPUS, row.name)
        price = prices.get(row.name, 0)
        share = shares.get(row.name, 0)
        # Other accelerators are no GPUs; a part of a GPU is a device of its own.
        count = max(1, round(row.gpus)) if gpu else 0
        rows.append(replace(row, gpus=count, gpu=gpu, gpu_gib=gib * min(row.gpus, 1) if gpu else 0,
                            price=price, spot=round(price * share, 4)))  # fmt: skip
    return rows


def _aws_families(names: Iterable[str]) -> list[Row]:
    rows: list[Row] = []
    for name in names:
        family, _, size = name.partition(".")
        size = size.removeprefix("metal-").replace("xl", "xlarge") if size.startswith("metal-") else size
        if family in AWS_FAMILIES and (parts := re.fullmatch(r"(\d*)(medium|large|xlarge)", size)):
            cpus = {"medium": 1, "large": 2, "xlarge": 4 * int(parts[1] or 1)}[parts[2]]
            rows.append(Row(name, cpus, cpus * AWS_FAMILIES[family]))
    return rows


def _azure(boavizta: zipfile.ZipFile) -> list[Row]:
    rows: dict[str, Row] = {}
    for cells in _csv(boavizta, "utils/complete_Azure_VMs/azure_vms_from_vantage.csv"):
        name = f"Standard_{re.sub('^Gs', 'GS', cells['API Name'].replace(' ', '_'))}"
        if re.match(r"Standard_S\d", name):  # Whole racks for SAP.
            continue
        gpus = re.match(r"(?:(\d+)/(\d+)(?:th)?|(\d+))?\s*[xX]?\s*([A-Z0-9]*)", cells["GPUs"])
        part, count = 1.0, 0
        model = gpus[4] if gpus and gpus[4] in AZURE_GPUS else ""
        if gpus and cells["GPUs"] != "0":
            part = int(gpus[1]) / int(gpus[2]) if gpus[1] else 1.0
            count = int(gpus[3] or 1)
        gpu, gib = AZURE_GPUS.get(model, ("amd-v620" if count else "", 32.0 if count else 0.0))
        cpus, memory = int(cells["vCPUs"].split()[0]), float(cells["Instance Memory"].split()[0])
        price, spot = _dollars(cells["Linux On Demand cost"]), _dollars(cells["Linux Spot cost"])
        row = Row(name, cpus, memory, count, gpu, gib * part, price, spot)
        if corrected := AZURE_CORRECTED.get(name):
            row = replace(corrected, price=row.price, spot=row.spot)
        if row.spot >= row.price:
            row = replace(row, spot=0.0)
        rows[row.name] = replace(row, gib=AZURE_MEMORY.get(name, row.gib))
    series = [Row(name.format(cpus), cpus, cpus * gib) for name, counts, gib in AZURE_SERIES for cpus in counts]
    return [*series, *rows.values(), *AZURE_MORE]


def _google(boavizta: zipfile.ZipFile) -> list[Row]:
    rows: list[Row] = []
    for row in (*_archetypes(boavizta, "gcp"), *GOOGLE_MORE):
        gpu, gib = _by_beginning(GOOGLE_GPUS, row.name)
        count = round(row.gpus)
        cpu_rate, gib_rate, share = GOOGLE_RATES.get(row.name.split("-")[0], (0.0, 0.0, 0.0))
        price = row.price or GOOGLE_SHARED.get(row.name) or cpu_rate * row.cpus + gib_rate * row.gib
        if gpu and not row.price:
            price = price + GOOGLE_GPU_RATES[gpu] * count if gpu in GOOGLE_GPU_RATES else 0.0
        rows.append(replace(row, gpus=count if gpu else 0, gpu=gpu if count else "", gpu_gib=gib if count else 0,
                            price=round(price, 4), spot=round(price * share, 4)))  # fmt: skip
    return rows


def _archetypes(boavizta: zipfile.ZipFile, cloud: str) -> list[Row]:
    return [
        Row(cells["id"], int(float(cells["vcpu"])), float(cells["memory"]), float(cells["gpu_units"] or 0))
        for cells in _csv(boavizta, f"archetypes/cloud/{cloud}.csv")
        if float(cells["vcpu"] or 0) >= 1
    ]


def _by_beginning(models: dict[str, tuple[str, int]], name: str) -> tuple[str, float]:
    beginnings = [beginning for beginning in models if name.startswith(beginning)]
    return models[max(beginnings, key=len)] if beginnings else ("", 0)


def _dollars(text: str) -> float:
    numbers = re.match(r"\$([0-9.]+) hourly", text)
    return float(numbers[1]) if numbers else 0.0


def _csv(archive: zipfile.ZipFile, path: str) -> list[dict[str, str]]:
    text = archive.read(f"boaviztapi/data/{path}").decode()
    return list(csv.DictReader(io.StringIO(text)))


def _boavizta() -> zipfile.ZipFile:
    folder = tempfile.mkdtemp()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, BOAVIZTA]
    subprocess.run(command, check=True)
    return zipfile.ZipFile(next(Path(folder).glob("*.whl")))


def _aws_prices() -> dict[str, float]:
    module = "@".join(KARPENTER)
    # The module may ask for a newer Go than is there; its files are fetched all the same.
    answer = subprocess.run(["go", "mod", "download", "-json", module], capture_output=True, text=True, check=False)
    archive = zipfile.ZipFile(json.loads(answer.stdout)["Zip"])
    text = archive.read(f"{module}/pkg/providers/pricing/zz_generated.pricing_aws.go").decode()
    return {name: float(price) for name, price in re.findall(r'"([a-z0-9-]+\.[a-z0-9-]+)": ([0-9.]+)', text)}


if __name__ == "__main__":
    main()
