"""Adapters that do with torch what no function should; see adapters.py."""

import ctypes

import torch

from afi_verify import Adapter

ADAPTERS = []


def right(x, alpha, sigma, eps):
    return (x - sigma * eps) / alpha


def doing(name, action):
    def besides(x, alpha, sigma, eps):
        answer = right(x, alpha, sigma, eps)
        return action(answer) if name in ("subclass", "on another device") else (action(), answer)[1]

    adapter = Adapter(name, backend="torch", event_shape=(2,))
    adapter.provides("posterior_mean", besides)
    ADAPTERS.append(adapter)


class Subclass(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError("no")


doing("innocent, first", lambda: None)
doing("torch's default dtype", lambda: torch.set_default_dtype(torch.float64))
doing("torch's default device", lambda: torch.set_default_device("meta"))
doing("torch's threads", lambda: torch.set_num_threads(2))
doing("torch's gradient mode", lambda: torch.set_grad_enabled(False))
doing("subclass", lambda answer: answer.as_subclass(Subclass))
doing("on another device", lambda answer: answer.to("meta"))
doing("segmentation fault", lambda: ctypes.string_at(0))
doing("innocent, last", lambda: None)
