"""The exact denoiser is exact: against the oracle, through the pipeline, in every kind of prediction."""

import numpy as np
import pytest
import torch

from afi_verify.stable_diffusion.denoiser import Denoiser, unpack
from afi_verify.stable_diffusion.exact import ExactDenoiser, exact_pipeline
from afi_verify.stable_diffusion.exact_head import ExactTraceHead, load_head
from afi_verify.stable_diffusion.examples import clustered_latents
from afi_verify.stable_diffusion.loading import load_pipeline, network_of
from afi_verify.stable_diffusion.tiny import tiny_pipeline
from tests.stable_diffusion.conftest import KINDS, LATENTS


def _points(latents, alpha, sigma, seed=0):
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return alpha * latents.double() + sigma * noise


def _jacobian_product(denoiser, x, v, t):
    point = x.clone().requires_grad_()
    return torch.autograd.grad(denoiser.eps(point, t), point, v)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_prediction_and_fisher_product_are_the_oracles_in_every_kind(shelf, kind) -> None:
    pipeline = load_pipeline(str(shelf(kind, exact=LATENTS)), dtype="float64")
    denoiser, law = Denoiser(pipeline, "a cat"), network_of(pipeline).law()
    v = torch.randn(2, *denoiser.event_shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for t in (3, 250, 600, 990):
        alpha, sigma = denoiser.alpha(t), denoiser.sigma(t)
        x = _points(network_of(pipeline).latents[:2], alpha, sigma)
        flat = x.flatten(1).numpy()
        np.testing.assert_allclose(
            denoiser.eps(x, t).flatten(1).numpy(), -sigma * law.score(flat, alpha, sigma), rtol=1e-8, atol=1e-9
        )
        product = _jacobian_product(denoiser, x, v, t) / sigma
        truth = law.fisher_vector_product(flat, v.flatten(1).numpy(), alpha, sigma)
        np.testing.assert_allclose(product.flatten(1).numpy(), truth, rtol=1e-7, atol=1e-8 * abs(truth).max())


def test_it_is_exact_at_the_size_of_stable_diffusion(tmp_path) -> None:
    """d = 16,384, through save_pretrained and from_pretrained, in float32 as pipelines are."""
    latents = clustered_latents(24, (4, 64, 64))
    scheduler = tiny_pipeline("sd15").scheduler
    ExactDenoiser.from_latents(latents, scheduler).save_pretrained(tmp_path)
    model = ExactDenoiser.from_pretrained(tmp_path, use_safetensors=True)
    assert (tmp_path / "diffusion_pytorch_model.safetensors").is_file()
    law, spread = model.law(), []
    for t in (10, 200, 500, 800):
        alpha, sigma = float(model.schedule.alpha(float(t))), float(model.schedule.sigma(float(t)))
        x = _points(latents[:1], alpha, sigma).requires_grad_()
        eps = model(x, t).sample
        v = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        product = torch.autograd.grad(eps, x, v)[0] / sigma
        flat = x.detach().flatten(1).numpy()
        truth = law.fisher_vector_product(flat, v.flatten(1).numpy(), alpha, sigma)
        assert abs(product.flatten(1).numpy() - truth).max() < 1e-9 * abs(truth).max()
        assert abs(eps.detach().flatten(1).numpy() + sigma * law.score(flat, alpha, sigma)).max() < 1e-9
        spread.append(1 - float(law.posterior_weights(flat, alpha, sigma).max()))
    # Else the covariance, which is all that is hard about the Fisher information, would not have been seen.
    assert max(spread) > 0.3


def test_the_prompt_matters_where_it_has_keys(tmp_path) -> None:
    pipeline = tiny_pipeline("sd15")
    latents = clustered_latents(6, (4, 8, 8))
    exact_pipeline(pipeline, latents, prompt_keys=torch.randn(6, 32, generator=torch.Generator().manual_seed(0)))
    pipeline.save_pretrained(tmp_path)
    pipeline = load_pipeline(str(tmp_path), dtype="float64")
    with_it, without = (Denoiser(pipeline, prompt) for prompt in ("a cat", ""))
    t = 700
    alpha, sigma = with_it.alpha(t), with_it.sigma(t)
    x = _points(latents[:1], alpha, sigma)
    scores = []
    for denoiser in (with_it, without):
        law = network_of(pipeline).law(denoiser.conditions[0]["encoder_hidden_states"])
        scores.append(law.score(x.flatten(1).numpy(), alpha, sigma))
        np.testing.assert_allclose(denoiser.score(x, t).flatten(1).numpy(), scores[-1], rtol=1e-8, atol=1e-8)
    guided = Denoiser(pipeline, "a cat", guidance=5.0).score(x, t).flatten(1).numpy()
    np.testing.assert_allclose(guided, scores[1] + 5 * (scores[0] - scores[1]), rtol=1e-7, atol=1e-7)
    assert abs(scores[0] - scores[1]).max() > 1e-3


@pytest.mark.parametrize("kind", ["sdxl", "sd3", "flux"])
def test_a_whole_pipeline_samples_the_latents_that_it_holds(shelf, kind) -> None:
    pipeline = load_pipeline(str(shelf(kind, exact=LATENTS)))
    side = 8 * pipeline.vae_scale_factor
    drawn = pipeline(
        "a cat",
        num_inference_steps=20,
        height=side,
        width=side,
        output_type="latent",
        generator=torch.Generator().manual_seed(0),
    ).images
    drawn = unpack(drawn, 8, 8) if kind == "flux" else drawn
    held = network_of(pipeline).latents.flatten(1)
    nearest = torch.cdist(drawn.flatten(1).float(), held).min()
    assert nearest < 0.2 * held[0].norm()


def test_half_precision_rounds_the_latents_and_nothing_else(shelf) -> None:
    pipeline = load_pipeline(str(shelf("sd15", exact=LATENTS)), dtype="float16")
    network = network_of(pipeline)
    assert network.latents.dtype == torch.float16
    denoiser = Denoiser(pipeline)
    alpha, sigma = denoiser.alpha(1), denoiser.sigma(1)
    x = _points(network.latents[:2], alpha, sigma).half().double()
    truth = -sigma * network.law().score(x.flatten(1).numpy(), alpha, sigma)
    np.testing.assert_allclose(denoiser.eps(x, 1).flatten(1).numpy(), truth, rtol=2e-3, atol=2e-3)


def test_the_head_is_the_oracles_and_is_loaded_again(shelf) -> None:
    folder = shelf("sd2-v", exact=LATENTS)
    pipeline = load_pipeline(str(folder), dtype="float64")
    network = network_of(pipeline)
    head = load_head(folder / "head")
    alpha, sigma = (float(level(400.0)) for level in (network.schedule.alpha, network.schedule.sigma))
    x = _points(network.latents[:3], alpha, sigma)
    truth = network.law().posterior_second_moment(x.flatten(1).numpy(), alpha, sigma) / x[0].numel()
    np.testing.assert_allclose(head(x, 400).numpy(), truth, rtol=1e-9)
    np.testing.assert_allclose(ExactTraceHead.of(network)(x, torch.full((3,), 400)).numpy(), truth, rtol=1e-9)


def test_changed_latents_are_noticed(shelf) -> None:
    network = network_of(load_pipeline(str(shelf("sd15", exact=LATENTS))))
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    before = network(x, 500).sample
    with torch.no_grad():
        network.latents.mul_(2)
    assert not torch.equal(network(x, 500).sample, before)


@pytest.mark.parametrize(
    ("latents", "options", "words"),
    [
        (torch.zeros(0, 4, 8, 8), {}, "N > 0"),
        (torch.full((1, 4, 8, 8), torch.nan), {}, "finite"),
        (torch.zeros(2, 4, 8, 8), {"weights": torch.tensor([1.0, 0.0])}, "positive"),
        (torch.zeros(2, 4, 8, 8), {"prompt_keys": torch.zeros(3, 4)}, "one row per latent"),
    ],
)
def test_what_is_no_set_of_latents(latents, options, words) -> None:
    with pytest.raises(ValueError, match=words):
        ExactDenoiser.from_latents(latents, tiny_pipeline("sd15").scheduler, **options)


def test_wrong_shapes_are_an_error_in_words(shelf) -> None:
    network = network_of(load_pipeline(str(shelf("sd15", exact=LATENTS))))
    with pytest.raises(ValueError, match="latents must have shape"):
        network(torch.zeros(1, 4, 16, 16), 500)
    with pytest.raises(ValueError, match="sample or hidden_states"):
        network(None, 500)
