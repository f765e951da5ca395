"""Image classification: the task of the Mixer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from nervelab.data.image_store import ImageStore
from nervelab.data.shuffling import shuffled
from nervelab.errors import NervelabError
from nervelab.probes.positions import Positions
from nervelab.probes.sites import FFNSite
from nervelab.training.task import Batch

if TYPE_CHECKING:
    from nervelab.models.mixer import Mixer
    from nervelab.study.config import RunConfig

HALVES = ("top", "bottom")


class ImageTask:
    """Batches of a training set of images, measured on all of it (see `nervelab.training.task`).

    Images are [batch, 3, size, size] with zero mean and unit variance in each channel over the training set. Targets
    are classes (int64), or under CutMix shares of classes [batch, classes] (float32).
    """

    measured_is_evaluated = False

    def __init__(self, config: RunConfig, store: ImageStore) -> None:
        self.config, self.store = config, store
        self.outputs = store.classes
        self.unigram_loss = store.unigram_loss
        self.side = config.model.image // config.model.patch
        self.tokens_per_target = self.side**2
        self.autoaugment = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
        self.cutmix = v2.CutMix(alpha=1.0, num_classes=store.classes)
        self.positions = Positions(HALVES, self._halves) if config.measure.by_position else None
        self.steps_per_epoch = store.images["train"] // config.training.batch
        if not self.steps_per_epoch:
            raise NervelabError(
                f"training.batch ({config.training.batch}) is more than the {store.images['train']} images of the "
                "training split: lower it in config/bases.yaml, or raise the data set's training_images in "
                "config/data.yaml."
            )

    def training_batch(self, step: int) -> Batch:
        """The images of a step, augmented.

        An epoch is all images in an order of its own, without those that fill no whole batch.
        """
        batch = self.config.training.batch
        epoch, place = divmod(step, self.steps_per_epoch)
        images_NCHW, labels_N = self._training
        chosen_B = _order(len(labels_N), self.config.seed, epoch)[place * batch : (place + 1) * batch]
        images_BCHW, targets = self._augmented(images_NCHW[chosen_B], labels_N[chosen_B], step)
        return self._normalised(images_BCHW), targets

    def measured(self, step: int) -> Iterator[Batch]:
        """The whole training set, unaugmented, in micro-batches."""
        return self._chunks(self._training)

    def evaluated(self) -> Iterator[Batch]:
        """The whole validation set in micro-batches."""
        return self._chunks(self._validation)

    def sites(self, model: Mixer) -> Sequence[FFNSite]:
        """The FFN of every block that mixes channels, the one that NerVE measures (App. I)."""
        return [FFNSite(name, pre=ffn.up, down=ffn.down) for name, ffn in model.channel_ffns().items()]

    def loss_sum(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Summed over the images. Shapes: (batch, classes), and (batch) or (batch, classes)."""
        return functional.cross_entropy(outputs.float(), targets, reduction="sum")

    def count(self, targets: Tensor) -> int:
        """The images."""
        return len(targets)

    def correct(self, outputs: Tensor, targets: Tensor) -> int | None:
        """How many images are classified correctly; None where a target is no single class."""
        return None if targets.is_floating_point() else int((outputs.argmax(dim=1) == targets).sum())

    @cached_property
    def _training(self) -> Batch:
        return self.store.split("train")

    @cached_property
    def _validation(self) -> Batch:
        return self.store.split("validation")

    def _augmented(self, images_BCHW: Tensor, labels_B: Tensor, step: int) -> Batch:
        wanted = self.config.training.augmentation
        # The transforms draw from torch's global generator on the CPU: it is theirs for the step, then as it was.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(_augmentation_seed(self.config.seed, step))
            if "autoaugment" in wanted:
                images_BCHW = torch.stack([self.autoaugment(image_CHW) for image_CHW in images_BCHW])
            if "cutmix" in wanted:
                return self.cutmix(images_BCHW, labels_B)
        return images_BCHW, labels_B

    def _normalised(self, images_BCHW: Tensor) -> Tensor:
        mean_C11, std_C11 = (torch.tensor(each)[:, None, None] for each in (self.store.mean, self.store.std))
        return (images_BCHW / 255 - mean_C11) / std_C11

    def _chunks(self, images: Batch) -> Iterator[Batch]:
        for images_BCHW, labels_B in zip(*(each.split(self.config.measure.chunk) for each in images), strict=True):
            yield self._normalised(images_BCHW), labels_B

    def _halves(self, batch: Batch) -> Tensor:
        """0 for the patches in the upper half of an image, 1 for those in the lower. Shape: (batch, patches)."""
        images_BCHW, _ = batch
        row_P = torch.arange(self.side**2, device=images_BCHW.device) // self.side
        return (row_P >= self.side // 2).long().expand(len(images_BCHW), -1)


def open_task(config: RunConfig, folder: Path) -> ImageTask:
    """The task over the folder of an image corpus.

    Raises:
        NervelabError: the folder is damaged, or holds fewer images than a batch.
    """
    return ImageTask(config, ImageStore.open(folder))


@lru_cache(maxsize=1)
def _order(images: int, seed: int, epoch: int) -> Tensor:
    return torch.from_numpy(shuffled(images, seed=seed, part=epoch))


def _augmentation_seed(seed: int, step: int) -> int:
    """A word that no order of an epoch is drawn from."""
    return int(np.random.Philox(key=[seed, step], counter=[0, 0, 0, 1]).random_raw())
