"""By which labels a cluster's nodes say which GPUs they have: NVIDIA's feature discovery, GKE's and Karpenter's."""

from __future__ import annotations

from trainstack.targets.kubernetes.manifest import Manifest

GKE = "cloud.google.com/gke-accelerator"
FEATURE_DISCOVERY = "nvidia.com/gpu.product"
KARPENTER_AWS = "karpenter.k8s.aws/instance-gpu-name"
KARPENTER_AZURE = "karpenter.azure.com/sku-gpu-name"

# What nodes call a model, where it is not its name: GKE's values and those of feature discovery.
_GKE = {
    "nvidia-a100-40gb": ["nvidia-tesla-a100"],
    "nvidia-h100": ["nvidia-h100-80gb", "nvidia-h100-mega-80gb"],
    "nvidia-h200": ["nvidia-h200-141gb"],
    "nvidia-k80": ["nvidia-tesla-k80"],
    "nvidia-p100": ["nvidia-tesla-p100"],
    "nvidia-t4": ["nvidia-tesla-t4"],
    "nvidia-v100": ["nvidia-tesla-v100"],
}
_PRODUCTS = {
    "nvidia-a100-40gb": ["NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-PCIE-40GB"],
    "nvidia-a100-80gb": ["NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-80GB-PCIe"],
    "nvidia-h100": ["NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe", "NVIDIA-H100-NVL"],
    "nvidia-k80": ["Tesla-K80"],
    "nvidia-m60": ["Tesla-M60"],
    "nvidia-p100": ["Tesla-P100-PCIE-16GB", "Tesla-P100-SXM2-16GB"],
    "nvidia-t4": ["Tesla-T4"],
    "nvidia-v100": ["Tesla-V100-SXM2-16GB", "Tesla-V100-SXM2-32GB", "Tesla-V100-PCIE-16GB", "Tesla-V100-PCIE-32GB"],
}


def resource(vendor: str) -> str:
    """What a cluster calls the GPUs of a vendor, which is also the usual taint of machines that have some."""
    return f"{vendor}.com/gpu"


def required(model: str) -> Manifest:
    """Return the part of a node affinity that asks for GPUs of a model, by whichever of the labels a cluster has.

    Args:
        model: `nvidia-l4`, or the value of such a label itself.
    """
    short = model.partition("-")[2] or model
    values = {
        GKE: [model, *_GKE.get(model, [])],
        FEATURE_DISCOVERY: _PRODUCTS.get(model, [f"NVIDIA-{short.upper()}", model]),
        KARPENTER_AWS: [short.removesuffix("-40gb").removesuffix("-80gb")],
        KARPENTER_AZURE: [short.removesuffix("-40gb").removesuffix("-80gb").upper()],
    }
    # Terms are alternatives; a node need satisfy one.
    terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": names}]} for key, names in values.items()]
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
