"""Block Krylov spaces of a symmetric matrix, by Rayleigh-Ritz with full reorthogonalisation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nervelab.spectra.products import full_precision
from nervelab.spectra.solver import eigenpairs


@dataclass(frozen=True, eq=False)
class Ritz:
    """The Ritz pairs of one Krylov space, in descending order, float64 on the CPU.

    Attributes:
        values_m: the Ritz values.
        residuals_m: the norms ||C u - theta u|| of their unit vectors u.
        weights_m: the squared lengths of the starting block's columns along u, averaged over the columns.
    """

    values_m: Tensor
    residuals_m: Tensor
    weights_m: Tensor


class KrylovSpace:
    """span(Z, C Z, ..., C^(steps-1) Z) of a symmetric matrix C [k, k] and a block Z [k, b].

    Every block is orthogonalised against all earlier ones, twice, so no Ritz value appears as its own ghost.
    Directions of a new block that are rounding are dropped; when none is left the space is invariant and every
    Ritz value in it is an eigenvalue.

    Attributes:
        sizes: the columns of each block.
    """

    def __init__(self, matrix_kk: Tensor, block_kb: Tensor, steps: int) -> None:
        self._tolerance = 1e-12 if matrix_kk.dtype == torch.float64 else 1e-6
        self.sizes: list[int] = []
        with full_precision(matrix_kk.device.type):
            self._build(matrix_kk, block_kb.to(matrix_kk), steps)

    def _build(self, matrix_kk: Tensor, block_kb: Tensor, steps: int) -> None:
        size = len(matrix_kk)
        basis_km = matrix_kk.new_empty(size, min(size, steps * block_kb.shape[1]))
        image_km = torch.empty_like(basis_km)
        new_kb, start_bb = torch.linalg.qr(block_kb)
        scale, used = 0.0, 0
        while True:
            new_kb = new_kb[:, : basis_km.shape[1] - used]
            stop = used + new_kb.shape[1]
            basis_km[:, used:stop] = new_kb
            image_kb = matrix_kk @ new_kb
            image_km[:, used:stop] = image_kb
            self.sizes.append(stop - used)
            scale = max(scale, torch.linalg.matrix_norm(image_kb).item())
            used = stop
            rest_kb = self._orthogonal(image_kb, basis_km[:, :used])
            if len(self.sizes) == steps or used == basis_km.shape[1]:
                break
            new_kb = self._independent(rest_kb, scale, basis_km[:, :used])
            if not new_kb.shape[1]:
                break
        t_mm = (basis_km[:, :used].T @ image_km[:, :used]).double().cpu()
        self._t_mm = (t_mm + t_mm.T) / 2
        self._start_bb = start_bb.double().cpu()
        self._rest_bb = (rest_kb.T @ rest_kb).double().cpu()

    def ritz(self, blocks: int | None = None) -> Ritz:
        """The Ritz pairs of the space of the first `blocks` blocks, of all by default."""
        blocks = len(self.sizes) if blocks is None else blocks
        used, last, first = sum(self.sizes[:blocks]), self.sizes[blocks - 1], self.sizes[0]
        values_m, vectors_mm = eigenpairs(self._t_mm[:used, :used])
        end_bm = vectors_mm[used - last :]
        if blocks == len(self.sizes):
            squares_m = (end_bm * (self._rest_bb @ end_bm)).sum(0).clamp(min=0)
        else:
            coupling_bb = self._t_mm[used : used + self.sizes[blocks], used - last : used]
            squares_m = (coupling_bb @ end_bm).square().sum(0)
        weights_m = (self._start_bb[:first].T @ vectors_mm[:first]).square().mean(0)
        return Ritz(values_m, squares_m.sqrt(), weights_m)

    def _orthogonal(self, block_kb: Tensor, basis_km: Tensor) -> Tensor:
        for _ in range(2):
            block_kb = block_kb - basis_km @ (basis_km.T @ block_kb)
        return block_kb

    def _independent(self, rest_kb: Tensor, scale: float, basis_km: Tensor) -> Tensor:
        """An orthonormal basis of the columns of `rest_kb` that are more than rounding, orthogonal to the basis."""
        new_kb, triangle_bb = torch.linalg.qr(rest_kb)
        if triangle_bb.diagonal().abs().min() > 10 * self._tolerance * scale:
            return new_kb
        left_kb, sizes_b, _ = torch.linalg.svd(rest_kb, full_matrices=False)
        kept_kb = left_kb[:, sizes_b > self._tolerance * scale]
        return torch.linalg.qr(self._orthogonal(kept_kb, basis_km)).Q if kept_kb.shape[1] else kept_kb


def rademacher(rows: int, columns: int, seed: int) -> Tensor:
    """Random signs [rows, columns], the same on every machine and device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2, (rows, columns), generator=generator).double() * 2 - 1
