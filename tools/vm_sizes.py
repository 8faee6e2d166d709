"""Writes the table of machine sizes anew: `python tools/vm_sizes.py`.

What each size holds and costs is read from lists that permissively licensed projects publish, whose versions are pinned
here, and from the few figures of the vendors' own pages in `vm_size_facts.py`. Only facts are taken over: names,
numbers, prices. Needs `git`, `go` and the network.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import vm_size_facts as facts
from vm_size_facts import Row

DATE = "2026-11-28"
TABLE = Path(__file__).parent.parent / "components" / "trainstack" / "core" / "compute" / "vm_sizes.tsv"
AUTOSCALER = ("github.com/kubernetes/autoscaler", "55c37cd5eb550756c5ccc5a89e9068d77797e575")
KARPENTER_AZURE = ("github.com/Azure/karpenter-provider-azure", "352646f599290c3a6d2f9710fb535a7b288f88ed")
KARPENTER_AWS = ("github.com/aws/karpenter-provider-aws", "v1.15.2")
CLOUDS = "cluster-autoscaler/cloudprovider"

HEADER = f"""\
# What machines of Azure, AWS and Google Cloud hold and cost. Written by tools/vm_sizes.py on {DATE}; do not edit.
# CPUs, GiB, GPUs of AWS (2026-01-22) and Azure (2026-03-05): {AUTOSCALER[0]} at {AUTOSCALER[1][:12]} (Apache-2.0);
#   of Google Cloud, GPUs' models, and what that lacks or has otherwise: the vendors' own pages,
#   learn.microsoft.com/azure/virtual-machines/sizes, aws.amazon.com/ec2/instance-types, cloud.google.com/compute/docs.
# Prices: US dollars an hour, Linux, on demand and spot, without discounts; a dash where none is published there.
#   AWS, us-east-1, on demand: {KARPENTER_AWS[0]} {KARPENTER_AWS[1]} (Apache-2.0, 2026-07-20).
#   Azure, East US, on demand: {KARPENTER_AZURE[0]} at {KARPENTER_AZURE[1][:12]} (Apache-2.0, 2026-06-18),
#     less the licence of Windows that some of its prices have.
#   Google, us-central1, on demand and spot: {AUTOSCALER[0]} (as above, 2026-08-22); GPUs' rates of the vendor's page.
# name\tcpus\tgib\tgpus\tgpu\tgpu_gib\tprice\tspot
"""


def main() -> None:
    """Write the table."""
    aws, azure, google = _checkout(
        AUTOSCALER,
        f"{CLOUDS}/aws/ec2_instance_types.go",
        f"{CLOUDS}/azure/azure_instance_types.go",
        f"{CLOUDS}/gce/gce_price_info.go",
    )
    (azure_prices,) = _checkout(KARPENTER_AZURE, "pkg/providers/pricing/zz_generated.pricing.go")
    found = (
        *_aws(_listed(aws), _numbers(_module(KARPENTER_AWS, "pkg/providers/pricing/zz_generated.pricing_aws.go"))),
        *_azure(_listed(azure), _linux(_numbers(_block(azure_prices, 'initialOnDemandPrices["eastus"]')))),
        *_google(google),
    )
    rows = {row.name.lower(): row for row in found}
    text = HEADER + "".join(f"{rows[name].line}\n" for name in sorted(rows))
    TABLE.write_text(text, encoding="utf-8")
    print(f"{len(rows)} sizes, {sum(row.gpus > 0 for row in rows.values())} with GPUs, "
          f"{sum(row.price > 0 for row in rows.values())} with a price: {TABLE}")  # fmt: skip


def _aws(listed: dict[str, Row], prices: dict[str, float]) -> list[Row]:
    rows = listed | {row.name: row for row in facts.AWS_MORE}
    rows |= {row.name: row for row in _aws_families(prices.keys() - rows.keys())}
    return [replace(_aws_gpus(row), price=prices.get(row.name, 0)) for row in rows.values()]


def _aws_gpus(row: Row) -> Row:
    gpu, gib = _by_beginning(facts.AWS_GPUS, row.name)
    if not gpu:  # Other accelerators are no GPUs.
        return replace(row, gpus=0)
    # A part of a GPU is a device of its own.
    return replace(row, gpus=max(1, row.gpus), gpu=gpu, gpu_gib=gib / facts.AWS_SHARED.get(row.name, 1))


def _aws_families(names: Iterable[str]) -> list[Row]:
    rows: list[Row] = []
    for name in names:
        family, _, size = name.partition(".")
        gib = next((gib for pattern, gib in facts.AWS_FAMILIES.items() if re.fullmatch(pattern, family)), 0)
        size = size.removeprefix("metal-").replace("xl", "xlarge") if size.startswith("metal-") else size
        if gib and (parts := re.fullmatch(r"(\d*)(medium|large|xlarge)", size)):
            cpus = {"medium": 1, "large": 2, "xlarge": 4 * int(parts[1] or 1)}[parts[2]]
            rows.append(Row(name, cpus, cpus * gib))
    return rows


def _azure(listed: dict[str, Row], prices: dict[str, float]) -> list[Row]:
    rows = listed | {row.name: row for row in facts.AZURE_MORE}
    rows |= {row.name: row for row in _azure_series(prices.keys() - rows.keys(), rows)}
    found: list[Row] = []
    for row in rows.values():
        # Of a constrained size, E16-4s_v5, only the second number of CPUs works.
        constrained = re.match(r"Standard_[A-Z]+\d+-(\d+)", row.name)
        row = replace(row, cpus=int(constrained[1]) if constrained else row.cpus,
                      gib=facts.AZURE_GIB.get(row.name, row.gib), price=prices.get(row.name, row.price))  # fmt: skip
        # A preview without a price, whose figures the vendor does not publish any more.
        if not re.fullmatch(r"Standard_NC\d+ads_A10_v4", row.name):
            found.append(_azure_gpus(row))
    return found


def _linux(prices: dict[str, float]) -> dict[str, float]:
    """The list's prices without Windows, which some of them have: dearer by its licence than others of a series."""
    series: dict[str, dict[str, float]] = {}
    for name, price in prices.items():
        if parts := re.fullmatch(r"Standard_([BDEFL])(\d+)(?:-\d+)?i?(\w*_v\d+)", name):
            series.setdefault(f"{parts[1]} {parts[3]}", {})[name] = price / int(parts[2])
    cleaned = dict(prices)
    for key, rates in series.items():
        licence = facts.AZURE_WINDOWS["B" if key.startswith("B") else ""]
        for name, rate in rates.items():
            if any(abs(rate - licence - other) < 0.01 * other for other in rates.values()):
                cleaned[name] = round(prices[name] * (rate - licence) / rate, 4)
    return cleaned


def _azure_gpus(row: Row) -> Row:
    name = row.name.removeprefix("Standard_")
    gpu, gib = next((gpu for pattern, gpu in facts.AZURE_GPUS.items() if re.fullmatch(pattern, name)), ("", 0))
    if not gpu:
        return replace(row, gpus=0)
    count = row.gpus or (8 if "MI300X" in name else 1)
    return replace(row, gpus=count, gpu=gpu, gpu_gib=gib / facts.AZURE_SHARED.get(row.name, 1))


def _azure_series(names: Iterable[str], listed: dict[str, Row]) -> list[Row]:
    rows: list[Row] = []
    for name in names:
        whole = re.sub(r"(\d+)-\d+", r"\1", name, count=1)
        size = whole.removeprefix("Standard_")
        gib, most = next((row for pattern, row in facts.AZURE_SERIES.items() if re.fullmatch(pattern, size)), (0, 0))
        cpus = int((re.findall(r"\d+", size) or ["0"])[0])
        if whole in listed:
            rows.append(replace(listed[whole], name=name))
        elif 0 < cpus <= most:
            rows.append(Row(name, cpus, cpus * gib))
    return rows


def _google(text: str) -> list[Row]:
    cpu_rates, gib_rates, shares, prices, spots = (
        _numbers(_block(text, f"\t{name} = map"))
        for name in ("predefinedCpuPricePerHour", "predefinedMemoryPricePerHourPerGb", "predefinedPreemptibleDiscount",
                     "instancePrices", "preemptiblePrices")
    )  # fmt: skip
    rows: list[Row] = []
    for row in facts.GOOGLE:
        gpu, gib = _by_beginning(facts.GOOGLE_GPUS, row.name)
        family = row.name.split("-")[0]
        price = cpu_rates.get(family, 0) * row.cpus + gib_rates.get(family, 0) * row.gib
        # The list's prices of machines with GPUs are rounded, the vendor's rates are not.
        if gpu:
            price = price + facts.GOOGLE_GPU_RATES[gpu] * row.gpus if price else 0
        else:
            # The rates are without a machine's own disks.
            price = prices.get(row.name, 0 if row.name.endswith("lssd") else price)
        price = row.price or price
        spot = row.spot or (0 if gpu else spots.get(row.name, 0)) or price * shares.get(family, 0)
        rows.append(replace(row, gpu=gpu, gpu_gib=gib, price=round(price, 4), spot=round(spot, 4)))
    return rows


def _listed(text: str) -> dict[str, Row]:
    """The entries of one of the autoscaler's lists."""
    numbers = r"VCPU:\s+(\d+),\s+MemoryMb:\s+(\d+),\s+GPU:\s+(\d+)"
    entry = re.compile(rf'InstanceType:\s+"([\w.-]+)".*?{numbers}', re.DOTALL)
    return {
        name: Row(name, int(cpus), round(int(mib) / 1024, 2), int(gpus))
        for name, cpus, mib, gpus in entry.findall(text)
    }


def _numbers(text: str) -> dict[str, float]:
    """The entries of a Go map from names to numbers, or to one number over another."""
    entries = re.findall(r'"([\w.-]+)":\s+([0-9.]+)(?: / ([0-9.]+))?,', text)
    return {name: float(number) / float(below or 1) for name, number, below in entries}


def _block(text: str, beginning: str) -> str:
    """The lines of a Go map that begins so."""
    start = text.index(beginning)
    return text[start : text.index("\t}", start)]


def _by_beginning(models: dict[str, tuple[str, int]], name: str) -> tuple[str, float]:
    beginnings = [beginning for beginning in models if name.startswith(beginning)]
    return models[max(beginnings, key=len)] if beginnings else ("", 0)


def _checkout(source: tuple[str, str], *paths: str) -> list[str]:
    """Files of a repository at one commit; nothing else of it is fetched where its host allows that."""
    repository, commit = source
    with tempfile.TemporaryDirectory() as folder:

        def git(*arguments: str) -> str:
            return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True).stdout

        git("init", "--quiet")
        git("remote", "add", "origin", f"https://{repository}")
        git("fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", commit)
        return [git("show", f"{commit}:{path}") for path in paths]


def _module(module: tuple[str, str], path: str) -> str:
    """A file of a Go module."""
    name = "@".join(module)
    # The module may ask for a newer Go than is there; its files are fetched all the same.
    answer = subprocess.run(["go", "mod", "download", "-json", name], capture_output=True, text=True, check=False)
    return zipfile.ZipFile(json.loads(answer.stdout)["Zip"]).read(f"{name}/{path}").decode()


if __name__ == "__main__":
    main()
