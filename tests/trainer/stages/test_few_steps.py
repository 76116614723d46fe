"""From a bundle of many steps to one of few: trajectories, the student, the small codec networks, and the bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

import onnx_fixtures
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.diffusion.schedule import NoiseSchedule, clean_image
from cldm_runtime.engines.open import open_graph
from cldm_runtime.engines.processor import lacks_vnni
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer.cli import arguments, run_stage
from cldm_trainer.conditions.kind import Design
from cldm_trainer.config import Config, DiffusionConfig, DistilConfig, FinishConfig, OptimiserConfig
from cldm_trainer.export import generator_export, run
from cldm_trainer.export.reduced.int8 import write_int8
from cldm_trainer.networks import ConditionInput, Denoiser
from cldm_trainer.networks.small import SmallDecoder, SmallMaskEncoder
from cldm_trainer.stages import distil, finish, slice_latents, trajectories
from cldm_trainer.stages.moved import label_maps
from cldm_trainer.stages.trajectories import Trajectories
from cldm_trainer.training.batches import load_slices
from cldm_trainer.training.losses import diffusion_target
from cldm_trainer.training.run_folder import RunFolder
from short_run_fixtures import train_short

OPTIMISER = OptimiserConfig(steps=2, batch_size=2, learning_rate=1e-3)
TOLD = ConditionInput("mask", "channels", (1,))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The configuration of a guided bundle that was trained for two steps."""
    config = train_short(tmp_path_factory.mktemp("few"), "[diffusion]\ncondition_dropout = 0.5\n"
                         "[export]\nsteps = 4\nguidance = 2.0\n")
    run(config, what="generator", torchscript=False)
    return config


@pytest.fixture(scope="module")
def student(teacher: Config) -> Config:
    """The configuration of a run whose student and small networks were trained for two steps on that bundle."""
    few = DistilConfig(OPTIMISER, teacher.export.generator, steps=2, states=2, teacher_steps=4, trajectories=4,
                       critic_weight=0.1, critic_channels=4, critic_start=1)
    config = replace(
        teacher, run=replace(teacher.run, name="few"), distil=few,
        finish=(FinishConfig(OPTIMISER, critic_channels=4), FinishConfig(OPTIMISER, 0.02, critic_channels=4)),
        small_codec=replace(teacher.small_codec, optimiser=OPTIMISER, channels=8),
        export=replace(teacher.export, generator=str(Path(teacher.export.generator).parent / "few")),
    )
    for stage in ("distil", "finish", "small-decoder", "small-texture", "small-mask-encoder"):
        run_stage(stage, config)
    return config


def test_trajectories_pass_through_the_students_steps(student: Config) -> None:
    found = trajectories.load_trajectories(student.distil, student.latents, RunFolder.of(student), "train")
    teacher = trajectories.Teacher(*arguments("trajectories", student))
    assert found.x.shape == (4, 3, 2, 32, 32) and found.condition.shape == (4, 3, 32, 32)
    plan, indices = teacher.pipeline.plan(teacher.settings), np.arange(4)
    fed = {"mask_latent": found.condition.float().numpy()}
    assert plan.guidance == 2.0
    last = teacher.pipeline.latents(found.x[:, 0].float().numpy(), fed, plan, 0, indices)
    np.testing.assert_allclose(found.x[:, -1].float().numpy(), last, atol=0.02)  # both were stored in half precision


def test_a_bundle_of_few_steps_generates_with_them_alone(student: Config) -> None:
    (folder,) = run(student, what="generator", torchscript=False)
    generator = Generator.load(folder)
    images, _ = generator.sample(attributes={"infarct_size": 0.2}, seed=0)
    assert images.shape == (1, 1, 128, 128) and generator.sampling.steps == 2
    assert generator.manifest.distilled is not None and generator.manifest.distilled.guidance == 2.0
    for asked in ({"steps": 4}, {"sampler": "ddpm"}, {"guidance": 3.0}):
        with pytest.raises(InputError, match=r"take its teacher, lge 1\.0"):
            generator.settings(**asked)


@pytest.mark.long
@pytest.mark.skipif(lacks_vnni(), reason="int8 needs VNNI instructions, which this processor lacks")
def test_a_bundle_in_int8_computes_nearly_the_same(student: Config, tmp_path: Path) -> None:
    slices = load_slices(student.cohort_file, "val")
    (source,) = run(replace(student, export=replace(student.export, generator=str(tmp_path / "few"))), what="generator",
                    torchscript=False)
    masks = slices.masks.numpy()
    folder = write_int8(source, tmp_path / "int8", slices.images.numpy(), masks, tmp_path / "none")
    bundle = Bundle.load(folder)
    assert {role: graph.precision for role, graph in bundle.manifest.graphs.items()} == {
        "denoiser": "int8", "decoder": "int8", "encoder": "fp32", "mask_encoder": "fp32"}
    operators = {node.op_type for node in onnx.load(folder / "denoiser.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    assert all(check.passed for check in verify_bundle(bundle))
    exact, rough = (Generator.load(path).sample(masks=masks)[0] for path in (source, folder))
    assert 0 < np.sqrt(np.mean((exact - rough) ** 2)) < 0.02
    with pytest.raises(BundleError, match="exists"):
        write_int8(source, folder, slices.images.numpy(), masks, tmp_path / "none")


def test_other_teacher_steps_than_a_multiple_are_refused(student: Config) -> None:
    wrong = replace(student, distil=replace(student.distil, teacher_steps=5))
    with pytest.raises(InputError, match="Take a multiple of the states"):
        trajectories.Teacher(*arguments("trajectories", wrong))


def test_a_bundle_of_another_condition_is_refused(teacher: Config, student: Config) -> None:
    wrong = replace(student, diffusion=replace(student.diffusion, condition="control"))
    with pytest.raises(InputError, match="comes from mask_encoder"):
        trajectories.Teacher(*arguments("trajectories", wrong))


def test_a_segmenter_cannot_be_distilled(student: Config, tmp_path: Path) -> None:
    folder = onnx_fixtures.make_segmenter(tmp_path / "segmenter")
    with pytest.raises(InputError, match="expected a generator"):
        distil.load_denoiser(student.diffusion, Bundle.load(folder))


@pytest.mark.parametrize("objective", ["epsilon", "v", "sample", "flow"])
def test_the_clean_image_is_what_the_target_was_made_from(objective: str) -> None:
    x0, eps = torch.randn(2, 3), torch.randn(2, 3)
    a, s = torch.tensor(0.6), torch.tensor(0.8)
    said = diffusion_target(objective, x0, eps, a, s)
    torch.testing.assert_close(clean_image(objective, said, a * x0 + s * eps, a, s), x0)


CHECKS = (torch.arange(4)[:, None] + torch.arange(4)) % 2 * 2.0 - 1.0


class Perfect(torch.nn.Module):
    """Says the v that leads to x0 = CHECKS from everywhere."""

    def __init__(self, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.share = torch.from_numpy(schedule.alphas_cumprod).float()

    def forward(self, x: torch.Tensor, timestep: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        share = self.share[timestep.long()].reshape(-1, 1, 1, 1)
        return (share.sqrt() * x - CHECKS) / (1.0 - share).sqrt()


def straight(schedule: NoiseSchedule, count: int) -> Trajectories:
    """Trajectories of 2 steps from noise to CHECKS, without rounding."""
    table, eps = schedule.step_table(2), torch.randn(count, 1, 1, 4, 4)
    levels = [torch.from_numpy(values).float().reshape(1, 3, 1, 1, 1) for values in (table.alpha, table.sigma)]
    return Trajectories(levels[0] * CHECKS + levels[1] * eps, torch.zeros(count, 1, 4, 4))


def test_the_loss_of_a_perfect_student_is_zero_and_its_latents_are_the_teachers() -> None:
    schedule = NoiseSchedule.cosine(10, prediction_type="v")
    section = DistilConfig(OPTIMISER, steps=2, states=2)
    untrained = Denoiser(1, TOLD, DiffusionConfig(OPTIMISER, channels=(8, 8), norm_groups=4, head_channels=8))
    task = distil.DistilTask(section, untrained, schedule, straight(schedule, 4), straight(schedule, 4))
    perfect = Perfect(schedule)
    step = distil.Step(0, np.arange(4), torch.Generator().manual_seed(0), torch.device("cpu"))
    assert task.loss(perfect, None, step)[0].item() < 1e-8
    assert task.validate(perfect, torch.device("cpu"))["distance"] < 1e-8
    assert task.loss(untrained, None, step)[0].item() > 0.01


def test_a_student_may_take_every_other_state() -> None:
    schedule = NoiseSchedule.cosine(10, prediction_type="v")
    untrained = Denoiser(1, TOLD, DiffusionConfig(OPTIMISER, channels=(8, 8), norm_groups=4, head_channels=8))
    task = distil.DistilTask(DistilConfig(OPTIMISER, steps=1, states=2), untrained, schedule, straight(schedule, 4),
                             straight(schedule, 4))
    step = distil.Step(0, np.arange(4), torch.Generator().manual_seed(0), torch.device("cpu"))
    assert task.training.x.shape[1] == 2 and task.loss(Perfect(schedule), None, step)[0].item() < 1e-8


def finish_task(slices: torch.Tensor,
                critic_weight: float = 0.0) -> tuple[finish.FinishTask, Trajectories, NoiseSchedule]:
    schedule = NoiseSchedule.cosine(10, prediction_type="v")
    section = DistilConfig(OPTIMISER, steps=2, states=2, critic_weight=critic_weight)
    untrained = Denoiser(1, TOLD, DiffusionConfig(OPTIMISER, channels=(8, 8), norm_groups=4, head_channels=8))
    kept = straight(schedule, 4)
    return finish.FinishTask(section, untrained, schedule, kept, kept, slices), kept, schedule


def test_a_perfect_student_walks_along_the_trajectories() -> None:
    task, kept, schedule = finish_task(torch.zeros(4, 1, 4, 4))
    k = torch.tensor([0, 1, 0, 1])
    walked = task.before(Perfect(schedule), torch.arange(4), k, kept.condition)
    torch.testing.assert_close(walked, kept.x[torch.arange(4), k])
    step = distil.Step(0, np.arange(4), torch.Generator().manual_seed(0), torch.device("cpu"))
    assert task.loss(Perfect(schedule), None, step)[0].item() < 1e-8


def test_the_later_steps_of_a_finish_begin_where_the_students_own_led() -> None:
    task, kept, _ = finish_task(torch.zeros(4, 1, 4, 4))
    walked = task.before(task.model, torch.arange(4), torch.tensor([0, 1, 0, 1]), kept.condition)
    torch.testing.assert_close(walked[::2], kept.x[::2, 0])
    assert (walked[1::2] - kept.x[1::2, 1]).abs().amax() > 0.01


def test_a_critic_of_slices_sees_finished_latents_beside_those_of_the_same_slices() -> None:
    task, _, schedule = finish_task(torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 1, 4, 4), critic_weight=1.0)
    seen = []

    class Recording(torch.nn.Module):
        def forward(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            seen.append(latents)
            return latents.mean((1, 2, 3)), latents.flatten(1)

    step = distil.Step(0, np.arange(4), torch.Generator().manual_seed(0), torch.device("cpu"))
    task.loss(Perfect(schedule), Recording(), step)
    real, drawn = seen
    assert real.shape == drawn.shape == (2, 2, 4, 4)  # the latent and the condition, of those in their last step
    assert set(real[:, 0, 0, 0].tolist()) in ({0.0, 2.0}, {1.0, 3.0}) and (real[:, 1] == 0).all()
    torch.testing.assert_close(drawn[:, :1], CHECKS.expand(2, 1, 4, 4), atol=1e-4, rtol=0)


def test_the_bundles_student_is_the_mean_of_the_finished_ones(student: Config) -> None:
    distilled = student.distil, Design.of(student), RunFolder.of(student)
    one, other = (load_file(finish.folder(RunFolder.of(student), number) / "model.safetensors") for number in (0, 1))
    found = finish.trained_student(student.finish, *distilled).state_dict()
    assert any((one[name] != other[name]).any() for name in one)
    for name, value in found.items():
        torch.testing.assert_close(value, (one[name] + other[name]) / 2)
    left = finish.trained_student((), *distilled).state_dict()
    assert any((left[name] != value).any() for name, value in found.items())


@pytest.mark.parametrize(("changes", "message"), [
    ({"distil": {"critic_weight": 0.2}}, r"distil was trained with another .*critic_weight: was 0\.1, is now 0\.2"),
    ({"distil": {"teacher_steps": 8}}, "trajectories.recipe_sha256: was"),
    ({"small_codec": {"border_weight": 0.7}}, "small-mask-encoder was trained .*border_weight: was"),
    ({"latents": {"scale": 0.3}}, "latents.scale: was"),
])
def test_a_student_made_from_something_else_is_not_exported(student: Config, changes: dict[str, dict[str, object]],
                                                            message: str) -> None:
    sections = {name: replace(getattr(student, name), **values) for name, values in changes.items()}
    with pytest.raises(InputError, match=f"(?s){message}"):
        generator_export(replace(student, **sections))


def test_slices_are_encoded_in_the_order_of_the_label_maps(student: Config) -> None:
    bundle = Bundle.load(student.distil.bundle)
    found = slice_latents.load(student.latents, RunFolder.of(student), bundle)
    images = load_slices(student.cohort_file, "train").images
    maps = label_maps(student.latents, RunFolder.of(student), "train")
    assert len(found) == len(maps) == len(images) * student.latents.copies
    mean = open_graph(bundle, "encoder").run({"image": images.numpy(),
                                       "posterior_noise": np.zeros((len(images), 2, 32, 32), np.float32)})["latent"]
    apart = (found[:len(images), None].float() - torch.from_numpy(mean)[None]).square().mean((2, 3, 4))
    assert (apart.argmin(1) == torch.arange(len(images))).all()


def test_slices_of_another_run_are_refused(student: Config) -> None:
    other = replace(student, run=replace(student.run, seed=student.run.seed + 1))
    with pytest.raises(InputError, match="out of date"):
        slice_latents.load(other.latents, RunFolder.of(other), Bundle.load(student.distil.bundle))


@pytest.mark.parametrize("stride", [2, 4])
def test_small_networks_have_the_shapes_of_large_ones(stride: int) -> None:
    assert SmallDecoder(3, 8, 1, stride)(torch.randn(2, 3, 8, 8)).shape == (2, 1, 8 * stride, 8 * stride)
    encoded = SmallMaskEncoder(5, 4, 8, 1, stride)(torch.randn(2, 5, 8 * stride, 8 * stride))
    assert encoded.shape == (2, 4, 8, 8)
