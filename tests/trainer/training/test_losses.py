"""Losses against values worked out by hand."""

import math

import pytest
import torch

from cldm_trainer.training import losses


def test_kl_of_a_standard_normal_is_zero() -> None:
    assert losses.kl_divergence(torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)).item() == 0.0


def test_kl_sums_over_the_latent_and_averages_over_the_batch() -> None:
    mu = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1).expand(2, 1, 1, 2)  # 0.5 * mu^2 each: 2 * 0.5 and 2 * 4.5
    assert losses.kl_divergence(mu, torch.ones_like(mu)).item() == pytest.approx((1.0 + 9.0) / 2)


def test_kl_of_a_deviation() -> None:
    value = losses.kl_divergence(torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2.0)).item()
    assert value == pytest.approx(0.5 * (4.0 - math.log(4.0) - 1.0))


def test_gradient_l1_of_a_ramp() -> None:
    ramp = torch.arange(4.0).reshape(1, 1, 1, 4).expand(1, 1, 4, 4)  # 1 a column, 0 a row
    assert losses.gradient_l1(ramp, torch.zeros_like(ramp)).item() == 1.0
    assert losses.gradient_l1(ramp + 5.0, ramp).item() == 0.0


def test_soft_dice_ignores_absent_classes() -> None:
    truth = torch.zeros(1, 3, 2, 2)
    truth[:, 0] = 1.0
    assert losses.soft_dice(100.0 * truth, truth).item() == pytest.approx(0.0, abs=1e-6)


def test_soft_dice_of_an_even_guess() -> None:
    truth = torch.zeros(1, 2, 1, 2)
    truth[0, 0, 0, 0] = truth[0, 1, 0, 1] = 1.0  # p = 1/2 everywhere: 2 * 0.5 / (1 + 1) = 1/2 for both classes
    assert losses.soft_dice(torch.zeros(1, 2, 1, 2), truth).item() == pytest.approx(0.5)


def test_least_squares_adversarial() -> None:
    real, fake = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert losses.least_squares_critic(real, fake).item() == pytest.approx(0.5)
    assert losses.least_squares_generator(fake).item() == pytest.approx(0.5)


def test_v_target_gives_back_x0_and_noise() -> None:
    x0, eps, a, sig = torch.tensor(0.7), torch.tensor(-1.3), torch.tensor(0.8), torch.tensor(0.6)
    v, x = losses.diffusion_target("v", x0, eps, a, sig), a * x0 + sig * eps
    assert (a * x - sig * v).item() == pytest.approx(0.7)
    assert (sig * x + a * v).item() == pytest.approx(-1.3)


def test_the_velocity_of_a_flow_gives_back_x0() -> None:
    x0, eps, a, sig = torch.tensor(0.7), torch.tensor(-1.3), torch.tensor(0.8), torch.tensor(0.6)
    u, x = losses.diffusion_target("flow", x0, eps, a, sig), a * x0 + sig * eps
    assert u.item() == pytest.approx(-2.0) and ((x - sig * u) / (a + sig)).item() == pytest.approx(0.7)


@pytest.mark.parametrize(("objective", "weight"), [("sample", 5.0), ("epsilon", 5.0 / 16.0), ("v", 5.0 / 17.0),
                                                  ("flow", 5.0 / 25.0)])
def test_min_snr_weight(objective: str, weight: float) -> None:
    a, sig = torch.tensor(math.sqrt(16.0 / 17.0)), torch.tensor(math.sqrt(1.0 / 17.0))  # snr 16
    assert losses.min_snr_weight(objective, a, sig, 5.0).item() == pytest.approx(weight, rel=1e-5)
    assert losses.min_snr_weight(objective, a, sig, 0.0).item() == 1.0


def test_noisy_samples_keep_a_least_weight() -> None:
    a, sig = torch.tensor([0.1, 0.8, 0.99]), torch.tensor([0.995, 0.6, 0.141])
    weights = losses.min_snr_weight("sample", a, sig, 10.0, 1.0)
    assert weights.tolist() == pytest.approx([1.0, 0.64 / 0.36, 10.0])


def test_the_relativistic_loss_compares_each_image_with_its_partner() -> None:
    real, drawn = (torch.tensor([2.0, -1.0]),), (torch.tensor([0.0, -3.0]),)  # each preferred by 2
    assert losses.relativistic(real, drawn).item() == pytest.approx(math.log1p(math.exp(-2.0)))
    assert losses.relativistic(drawn, real).item() == pytest.approx(math.log1p(math.exp(2.0)))
    assert losses.relativistic(real * 2, drawn * 2).item() == pytest.approx(2 * math.log1p(math.exp(-2.0)))
