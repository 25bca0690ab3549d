"""Losses over two processes: values and gradients are those of one process that has both shares."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from centerx.losses.balance import ConstantMagnitude
from centerx.losses.distill import article_terms, response_terms, ridge_residual
from tests.made import BRANCHES, box_maps, every_map

SHARES = 2


def losses(rank: int, share: int) -> tuple[dict[str, float], list[torch.Tensor]]:
    """All terms at constant magnitude on a share of a batch: their weights, and the gradients in the student's maps."""
    rng = torch.Generator().manual_seed(0)
    student, teacher = (
        box_maps(*(torch.randn(4, channels, 6, 5, generator=rng) for channels in (3, 2, 2))) for _ in range(2)
    )
    features, told = (torch.randn(4, 8, 6, 5, generator=rng) for _ in range(2))
    own = slice(rank * share, (rank + 1) * share)
    leaves = [maps[own].clone().requires_grad_() for maps in (*every_map(student), features)]
    seen, taught = box_maps(*leaves[:3]), box_maps(*(maps[own] for maps in every_map(teacher)))
    terms = {}
    for name, loss in (("article", article_terms), ("response", response_terms)):
        terms |= {
            f"{name}/{term}": value
            for term, value in loss(
                seen, taught, dict.fromkeys(("heatmap", *BRANCHES), torch.tensor([1, 0.5, 1])), BRANCHES
            ).items()
        }
    terms["features"] = ridge_residual(leaves[3], told[own] + features[own, :8])
    total, weights = ConstantMagnitude(dict.fromkeys(terms, 1.0))(terms, {})
    total.backward()
    return {name: weight.item() for name, weight in weights.items()}, [leaf.grad for leaf in leaves]


def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={SHARES}", "--master-port=29543"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([*command, __file__, str(tmp_path)], check=True, env=environment, capture_output=True)
    weights, gradients = losses(0, 4)
    shares = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(SHARES)]
    for rank in range(SHARES):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == pytest.approx(weights, rel=1e-4)
    for whole, *parts in zip(gradients, *shares, strict=True):
        assert whole.abs().max() > 1e-4
        # Training averages gradients over processes.
        torch.testing.assert_close(torch.cat(parts) / SHARES, whole, rtol=1e-3, atol=1e-6)


def main(folder: Path) -> None:
    """What each process does."""
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    weights, gradients = losses(rank, 4 // SHARES)
    (folder / f"{rank}.json").write_text(json.dumps(weights))
    torch.save(gradients, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
