"""What the vendors publish of their machines, where no list says it or a list says otherwise.

Put down by hand, to be checked at learn.microsoft.com/azure/virtual-machines/sizes, aws.amazon.com/ec2/instance-types
and cloud.google.com/compute/docs. `vm_sizes.py` puts them beside the lists that it reads.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One size. `gpu_gib` is the memory of one GPU, or of the part of one that the machine has."""

    name: str
    cpus: int
    gib: float
    gpus: int = 0
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


# A GPU's model and GiB by the first letters of a size's name; longer beginnings go before.
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
# Sizes with a part of a GPU, which the list counts as none: how many share it.
AWS_SHARED = {"g6f.large": 8, "g6f.xlarge": 8, "g6f.2xlarge": 4, "g6f.4xlarge": 2, "gr6f.4xlarge": 2}
# Families that have a price but are in no list: GiB a CPU. Amazon's names say the CPUs.
AWS_FAMILIES = {r"c[89]\w*": 2, r"m[89]\w*": 4, r"[ri]8\w*": 8}
AWS_MORE = (
    Row("cr1.8xlarge", 32, 244),
    Row("g2.2xlarge", 8, 15, 1),
    Row("g2.8xlarge", 32, 60, 4),
    Row("g3s.xlarge", 4, 30.5, 1),
    Row("g3.4xlarge", 16, 122, 1),
    Row("g3.8xlarge", 32, 244, 2),
    Row("g3.16xlarge", 64, 488, 4),
    Row("g7.2xlarge", 8, 32, 1),
    Row("g7.4xlarge", 16, 64, 1),
    Row("g7.8xlarge", 32, 128, 1),
    Row("g7.12xlarge", 48, 192, 2),
    Row("g7.24xlarge", 96, 384, 4),
    Row("g7.48xlarge", 192, 768, 8),
    Row("i3.metal", 72, 512),
    Row("p2.xlarge", 4, 61, 1),
    Row("p2.8xlarge", 32, 488, 8),
    Row("p2.16xlarge", 64, 732, 16),
    Row("p5e.48xlarge", 192, 2048, 8),
    Row("p6-b300.48xlarge", 192, 4096, 8),
    *(Row(f"u-{tebi}tb1.112xlarge", 448, tebi * 1024) for tebi in (9, 12, 18, 24)),
    *(Row(f"u-{tebi}tb1.metal", 448, tebi * 1024) for tebi in (6, 9, 12, 18, 24)),
)

# A GPU's model and GiB by a pattern of the size's name; the first that matches goes.
AZURE_GPUS = {
    r"NV\d+adm?s_A10_v5": ("nvidia-a10", 24),
    r"NC\d+ads_A100_v4": ("nvidia-a100-80gb", 80),
    r"ND96amsr_A100_v4": ("nvidia-a100-80gb", 80),
    r"ND96asr_v4": ("nvidia-a100-40gb", 40),
    r"NCC?\d+adi?s_H100_v5": ("nvidia-h100", 94),
    r"ND96isr_H100_v5": ("nvidia-h100", 80),
    r"ND96isr_H200_v5": ("nvidia-h200", 141),
    r"ND96isr?_MI300X_v5": ("amd-mi300x", 192),
    r"ND128isr_NDR_GB200_v6": ("nvidia-gb200", 192),
    r"NC\d+as_T4_v3": ("nvidia-t4", 16),
    r"NC\d+r?s_v3": ("nvidia-v100", 16),
    r"ND40rs_v2": ("nvidia-v100", 32),
    r"NC\d+r?s_v2": ("nvidia-p100", 16),
    r"NC\d+r?": ("nvidia-k80", 12),
    r"ND\d+r?s": ("nvidia-p40", 24),
    r"NV\d+(s_v[23])?": ("nvidia-m60", 8),
    r"NV\d+as_v4": ("amd-mi25", 16),
    r"NV\d+adm?s_V710_v5": ("amd-v710", 24),
    r"NG\d+adm?s_V620_v1": ("amd-v620", 32),
}
# Sizes with a part of a GPU: how many share it.
AZURE_SHARED = {
    **{f"Standard_NV{cpus}ads_A10_v5": sharing for cpus, sharing in ((6, 6), (12, 3), (18, 2))},
    **{f"Standard_NV{cpus}as_v4": 32 // cpus for cpus in (4, 8, 16)},
    **{f"Standard_NV{cpus}ads_V710_v5": 24 // cpus for cpus in (4, 8, 12)},
    **{f"Standard_NG{cpus}ads_V620_v1": 32 // cpus for cpus in (8, 16)},
}
# GiB, where the list has another figure: it leaves out what is less than one.
AZURE_GIB = {
    "Standard_B1ls": 0.5,
    **{f"Standard_D{size}": 3.5 for size in ("1", "1_v2", "S1", "S1_v2")},
    **{f"Standard_HB120{part}rs_v3": 448 for part in ("", "-16", "-32", "-64", "-96")},
    **{f"Standard_M8{part}ms": 218.75 for part in ("", "-2", "-4")},
    **{f"Standard_M16{part}ms": 437.5 for part in ("", "-4", "-8")},
}
# Series that have a price but are in no list: GiB a CPU, up to how many CPUs.
AZURE_SERIES = {
    r"D\d+\w*l\w*s_v[67]": (2, 192),
    r"D\d+\w*s_v[67]": (4, 192),
    r"E\d+\w*s_v[67]": (8, 128),
    r"F\d+\w*l\w*s_v6": (2, 64),
    r"F\d+\w*m\w*s_v6": (8, 64),
    r"F\d+\w*s_v6": (4, 64),
}
# Dollars an hour that Windows adds to a CPU; burstable sizes have a tenth.
AZURE_WINDOWS = {"": 0.046, "B": 0.0046}
AZURE_MORE = (
    Row("Standard_D15i_v2", 20, 140),
    Row("Standard_DS15i_v2", 20, 140),
    *(Row(f"Standard_NC{cpus}as_T4_v3", cpus, gib, gpus)
      for cpus, gib, gpus in ((4, 28, 1), (8, 56, 1), (16, 110, 1), (64, 440, 4))),
    *(Row(f"Standard_ND{name}", cpus, gib, gpus)
      for name, cpus, gib, gpus in (("96asr_v4", 96, 900, 8), ("96amsr_A100_v4", 96, 1900, 8),
                                    ("128isr_NDR_GB200_v6", 128, 900, 4))),
    *(Row(f"Standard_H{name}", cpus, gib)
      for name, cpus, gib in (("8", 8, 56), ("8m", 8, 112), ("16", 16, 112), ("16r", 16, 112), ("16m", 16, 224),
                              ("16mr", 16, 224), ("B60rs", 60, 228))),
    # Retired, at their last price: for estimates of stacks that still name them.
    *(Row(f"Standard_NC{name}", 6 * gpus, 56 * gpus, gpus, price=price)
      for name, gpus, price in (("6", 1, 0.9), ("12", 2, 1.8), ("24", 4, 3.6), ("24r", 4, 3.96))),
    *(Row(f"Standard_{name}", 6 * gpus, 112 * gpus, gpus, price=price)
      for name, gpus, price in (("NC6s_v2", 1, 2.07), ("NC12s_v2", 2, 4.14), ("NC24s_v2", 4, 8.28),
                                ("NC24rs_v2", 4, 9.108), ("ND6s", 1, 2.07), ("ND12s", 2, 4.14), ("ND24s", 4, 8.28),
                                ("ND24rs", 4, 9.108))),
    *(Row(f"Standard_NV{6 * gpus}", 6 * gpus, 56 * gpus, gpus, price=1.14 * gpus) for gpus in (1, 2, 4)),
)  # fmt: skip

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
# Dollars an hour of one GPU in us-central1, beside its machine's CPUs and memory.
GOOGLE_GPU_RATES = {"nvidia-l4": 0.560, "nvidia-a100-40gb": 2.9339, "nvidia-a100-80gb": 3.9692}
_TO_16, _TO_32, _TO_96 = (2, 4, 8, 16), (2, 4, 8, 16, 32), (2, 4, 8, 16, 32, 48, 64, 80, 96)
_C2D, _C3, _C3D = (2, 4, 8, 16, 32, 56, 112), (4, 8, 22, 44, 88, 176), (4, 8, 16, 30, 60, 90, 180, 360)
_C4, _C4A, _T2 = (2, 4, 8, 16, 32, 48, 96, 192), (1, 2, 4, 8, 16, 32, 48, 64, 72), (1, 2, 4, 8, 16, 32, 48)
_N1, _N4 = (2, 4, 8, 16, 32, 64, 96), (2, 4, 8, 16, 32, 48, 64, 80)
# A series' CPUs, GiB a CPU, and endings of more machines of the same measure.
_GOOGLE_SERIES: tuple[tuple[str, tuple[int, ...], float, str], ...] = (
    ("c2-standard", (4, 8, 16, 30, 60), 4, ""),
    ("c2d-highcpu", _C2D, 2, ""),
    ("c2d-standard", _C2D, 4, ""),
    ("c2d-highmem", _C2D, 8, ""),
    ("c3-highcpu", _C3, 2, ""),
    ("c3-standard", _C3, 4, ""),
    ("c3-standard", _C3, 4, "-lssd"),
    ("c3-highmem", _C3, 8, ""),
    ("c3d-standard", _C3D, 4, ""),
    ("c3d-standard", _C3D[1:], 4, "-lssd"),
    ("c3d-highmem", _C3D, 8, ""),
    ("c3d-highmem", _C3D[1:], 8, "-lssd"),
    ("c4-highcpu", _C4, 2, ""),
    ("c4a-highcpu", _C4A, 2, ""),
    ("c4a-standard", _C4A, 4, ""),
    ("c4a-standard", _C4A[2:], 4, "-lssd"),
    ("c4a-highmem", _C4A, 8, ""),
    ("c4a-highmem", _C4A[2:], 8, "-lssd"),
    ("e2-highcpu", _TO_32, 1, ""),
    ("e2-standard", _TO_32, 4, ""),
    ("e2-highmem", _TO_16, 8, ""),
    ("h3-standard", (88,), 4, ""),
    ("n1-highcpu", _N1, 0.9, ""),
    ("n1-standard", (1, *_N1), 3.75, ""),
    ("n1-highmem", _N1, 6.5, ""),
    ("n2-highcpu", _TO_96, 1, ""),
    ("n2-standard", (*_TO_96, 128), 4, ""),
    ("n2-highmem", _TO_96, 8, ""),
    ("n2d-highcpu", (*_TO_96, 128, 224), 1, ""),
    ("n2d-standard", (*_TO_96, 128, 224), 4, ""),
    ("n2d-highmem", _TO_96, 8, ""),
    ("n4-highcpu", _N4, 2, ""),
    ("n4-standard", _N4, 4, ""),
    ("n4-highmem", _N4, 8, ""),
    ("t2a-standard", _T2, 4, ""),
    ("t2d-standard", (*_T2, 60), 4, ""),
    ("z3-highmem", (8, 14, 22, 30, 36, 44, 88, 176), 8, ""),
    ("z3-highmem", (8, 16, 22, 32, 44, 88), 8, "-highlssd"),
    ("z3-highmem", (14, 22, 44, 88, 176), 8, "-standardlssd"),
)
GOOGLE = (
    *(Row(f"{series}-{count}{ending}", count, round(count * gib, 2))
      for series, counts, gib, ending in _GOOGLE_SERIES for count in counts),
    *(Row(f"c3-{kind}-192-metal", 192, gib) for kind, gib in (("highcpu", 512), ("standard", 768), ("highmem", 1536))),
    *(Row(f"c3d-highcpu-{cpus}", cpus, gib)
      for cpus, gib in ((4, 8), (8, 16), (16, 32), (30, 59), (60, 118), (90, 177), (180, 354), (360, 708))),
    *(Row(f"c4-standard-{cpus}", cpus, 3.75 * cpus if cpus > 2 else 7) for cpus in _C4),
    *(Row(f"c4-highmem-{cpus}", cpus, 7.75 * cpus if cpus > 2 else 15) for cpus in _C4),
    # The list has dearer ones for the two smallest, so that nobody takes them for e2-medium.
    Row("e2-micro", 2, 1, price=0.00838, spot=0.00251),
    Row("e2-small", 2, 2, price=0.01675, spot=0.00503),
    Row("e2-medium", 2, 4),
    Row("f1-micro", 1, 0.6),
    Row("g1-small", 1, 1.7),
    Row("h4d-highmem-192-lssd", 192, 1488),
    *(Row(f"m1-ultramem-{cpus}", cpus, gib) for cpus, gib in ((40, 961), (80, 1922), (160, 3844))),
    Row("m1-megamem-96", 96, 1433.6),
    Row("m2-ultramem-208", 208, 5888),
    Row("m2-ultramem-416", 416, 11776),
    Row("m2-megamem-416", 416, 5888),
    Row("m2-hypermem-416", 416, 8832),
    *(Row(f"m3-ultramem-{cpus}", cpus, 30.5 * cpus) for cpus in (32, 64, 128)),
    *(Row(f"m3-megamem-{cpus}", cpus, 15.25 * cpus) for cpus in (64, 128)),
    Row("n2-highmem-128", 128, 864),
    *(Row(f"x4-megamem-{cpus}-metal", cpus, gib) for cpus, gib in ((960, 16384), (1440, 24576), (1920, 32768))),
    *(Row(f"a2-highgpu-{gpus}g", 12 * gpus, 85 * gpus, gpus) for gpus in (1, 2, 4, 8)),
    Row("a2-megagpu-16g", 96, 1360, 16),
    *(Row(f"a2-ultragpu-{gpus}g", 12 * gpus, 170 * gpus, gpus) for gpus in (1, 2, 4, 8)),
    *(Row(f"a3-highgpu-{gpus}g", 26 * gpus, 234 * gpus, gpus) for gpus in (1, 2, 4, 8)),
    Row("a3-edgegpu-8g", 208, 1872, 8),
    Row("a3-megagpu-8g", 208, 1872, 8),
    Row("a3-ultragpu-8g", 224, 2952, 8),
    Row("a4-highgpu-8g", 224, 3968, 8),
    Row("a4x-highgpu-4g", 140, 884, 4),
    *(Row(f"g2-standard-{cpus}", cpus, 4 * cpus, gpus)
      for cpus, gpus in ((4, 1), (8, 1), (12, 1), (16, 1), (24, 2), (32, 1), (48, 4), (96, 8))),
    *(Row(f"g4-standard-{48 * gpus}", 48 * gpus, 180 * gpus, gpus, price=round(4.50007 * gpus, 4))
      for gpus in (1, 2, 4, 8)),
)  # fmt: skip
