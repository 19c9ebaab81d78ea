"""The paper's experiments on latent diffusion models, on models and weights that the user gives."""
