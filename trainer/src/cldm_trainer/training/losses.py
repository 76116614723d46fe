"""Training losses. Every function returns a scalar that is a mean over the batch.

symbol   meaning
x, y     target and reconstruction
mu, s    mean and deviation of a codec's latent
a, sig   alpha and sigma of the forward process: x_t = a * x0 + sig * eps, a^2 + sig^2 = 1
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .processes import total

PENALTY_EVERY = 4  # steps of a critic


def kl_divergence(mu: Tensor, s: Tensor) -> Tensor:
    """KL(N(mu, s^2) || N(0, 1)): summed over the latent, averaged over the batch."""
    each = 0.5 * (mu.square() + s.square() - s.square().clamp_min(1e-30).log() - 1.0)
    return each.flatten(1).sum(1).mean()


def gradient_l1(y: Tensor, x: Tensor) -> Tensor:
    """L1 between finite differences along every spatial axis of (N, C, *spatial): asks for sharp borders."""
    d, loss = y - x, y.new_zeros(())
    for axis in range(2, d.ndim):
        steps = d.shape[axis] - 1
        loss = loss + (d.narrow(axis, 1, steps) - d.narrow(axis, 0, steps)).abs().mean()
    return loss


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """logits (N, K, *spatial), labels (N, *spatial) integers."""
    return functional.cross_entropy(logits, labels.long())


def soft_dice(logits: Tensor, one_hot: Tensor) -> Tensor:
    """1 - soft Dice, pooled over the batch, of all processes, and averaged over the classes that are present in it."""
    return channel_dice(torch.softmax(logits, dim=1), one_hot)


def channel_dice(y: Tensor, x: Tensor) -> Tensor:
    """1 - soft Dice of channels (N, C, *spatial) that are 0 or 1 in x, pooled over the batch of all processes, and
    averaged over the channels that are not empty in it. y may leave that range: it is cut off there. Where it lies
    beyond the wrong end, its gradient is kept: else nothing would draw on a lesion that is missed altogether."""
    wanted = torch.where(x > 0.5, y.clamp(max=1.0), y.clamp(min=0.0))
    y, axes = wanted + (y.clamp(0.0, 1.0) - wanted).detach(), (0, *range(2, y.ndim))
    hits, predicted, size = total(torch.stack([(y * x).sum(axes), y.sum(axes), x.sum(axes)]))
    present = (size > 0).to(y.dtype)
    dice = 2.0 * hits / (predicted + size).clamp_min(1e-6)
    loss: Tensor = 1.0 - (dice * present).sum() / present.sum().clamp_min(1.0)
    return loss


def least_squares_critic(reference: Tensor, fake: Tensor) -> Tensor:
    """LSGAN (Mao et al., ICCV 2017), the discriminator's side: reference to 1, fake to 0."""
    return 0.5 * ((reference - 1.0).square().mean() + fake.square().mean())


def least_squares_generator(fake: Tensor) -> Tensor:
    """LSGAN, the generator's side: fake to 1."""
    return (fake - 1.0).square().mean()


def relativistic(preferred: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> Tensor:
    """Relativistic pairing (Jolicoeur-Martineau, arXiv 1807.00734): by every verdict of a critic, each `preferred`
    image is to score higher than the `other` one that it is paired with. The sum over the verdicts."""
    pairs = zip(preferred, other, strict=True)
    return torch.stack([functional.softplus(less - more).mean() for more, less in pairs]).sum()


def fooled(critic: nn.Module, drawn: Tensor, reference: Tensor) -> Tensor:
    """The side of who draws: `relativistic` by a critic that does not learn from it."""
    critic.requires_grad_(False)
    with torch.no_grad():
        reference_scores = critic(reference)
    loss = relativistic(critic(drawn), reference_scores)
    critic.requires_grad_(True)
    return loss


def relativistic_critic(critic: nn.Module, reference: Tensor, drawn: Tensor, step: int, penalty: float) -> Tensor:
    """The critic's side, with R1 of that weight on every `PENALTY_EVERY`-th step, as much stronger."""
    loss = relativistic(critic(reference), critic(drawn))
    if step % PENALTY_EVERY == 0:
        loss = loss + 0.5 * PENALTY_EVERY * penalty * squared_gradient(critic, reference)
    return loss


def squared_gradient(critic: nn.Module, seen: Tensor) -> Tensor:
    """R1 (Mescheder, Geiger and Nowozin, ICML 2018): the squared gradient of a critic's verdicts at `seen`, (N, ...),
    averaged over the batch."""
    plain = getattr(critic, "module", critic)  # what Fabric wraps: its wrapper forbids a gradient of a gradient
    seen = seen.detach().requires_grad_(True)
    whole, patches = plain(seen)
    gradient = torch.autograd.grad(whole.sum() + patches.mean(dim=1).sum(), seen, create_graph=True)[0]
    return gradient.square().flatten(1).sum(1).mean()


def diffusion_target(objective: str, x0: Tensor, eps: Tensor, a: Tensor, sig: Tensor) -> Tensor:
    """What the denoiser should say: eps, x0, v = a * eps - sig * x0 (Salimans and Ho, ICLR 2022), or the velocity of a
    rectified flow, eps - x0 (Liu et al., ICLR 2023)."""
    if objective == "epsilon":
        return eps
    if objective == "flow":
        return eps - x0
    return x0 if objective == "sample" else a * eps - sig * x0


def min_snr_weight(objective: str, a: Tensor, sig: Tensor, gamma: float, least: float = 0.0) -> Tensor:
    """Min-SNR-gamma (Hang et al., ICCV 2023), as a weight on the squared error of the given target.

    With snr = a^2 / sig^2, the squared error of x0 gets min(snr, gamma); one unit of it is 1/snr units of eps and
    1/(snr + 1) units of v and 1/(sqrt(snr) + 1)^2 units of a flow's velocity. gamma 0: weight 1.
    least: what the squared error of x0 gets at least (truncated SNR, Salimans and Ho, arXiv 2202.00512). Pure noise,
    snr 0, has the weight 0 unless gamma is 0, or x0 itself is predicted and has a least weight.
    """
    if gamma <= 0.0:
        return torch.ones_like(a)
    snr = (a / sig).square()
    clipped = snr.clamp(least, gamma)
    if objective == "sample":
        return clipped
    if objective == "flow":
        return clipped / (a / sig + 1.0).square()
    return clipped / snr if objective == "epsilon" else clipped / (snr + 1.0)


def attribute_order(z: Tensor, attributes: Tensor, defined: Tensor, delta: float) -> Tensor:
    """The regularisation of AR-VAE (Pati and Lerch, Neural Computing and Applications 2021): dimension a of z is to
    rise with attribute a. z (N, d), attributes and defined (N, A), A <= d.

    The sum over attributes of the mean over pairs i, j of |tanh(delta (z_i - z_j)) - sign(a_i - a_j)|. Each attribute
    has its own dimension and its own pairs; pairs with an undefined value, and of a sample with itself, are left out.
    """
    total = z.new_zeros(())
    others = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    for a in range(attributes.shape[1]):
        has_value = defined[:, a] > 0
        pairs = others & has_value[:, None] & has_value
        attribute_signs = torch.sign(attributes[:, None, a] - attributes[:, a])
        latent_signs = torch.tanh(delta * (z[:, None, a] - z[:, a]))
        total = total + ((latent_signs - attribute_signs).abs() * pairs).sum() / pairs.sum().clamp_min(1)
    return total
