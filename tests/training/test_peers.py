"""Several processes that train one network."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.training.peers import Peers
from napari_dl4smlm.backend.training.trainer import Trainer

OPTIONS = [
    "--simulate",
    "--model=srcnn",
    "--device=cpu",
    "--precision=float32",
    "--upsampling=2",
    "--patches-per-epoch=22",
    "--batch-size=5",
    "--patch-size=12",
    "--early-stopping=50",
]


@given(items=st.lists(st.integers(0, 9), min_size=1, max_size=9), count=st.integers(1, 5))
def test_the_mean_of_the_weighted_means_is_that_of_the_batch(items, count):
    shares = [Peers(rank, count).share(items) for rank in range(count)]
    means = [weight * np.mean(mine) for mine, weight in shares]
    assert np.mean(means) == pytest.approx(np.mean(items))


def test_a_process_alone_keeps_all_to_itself():
    peers = Peers()
    assert peers.share([3, 1, 4]) == ([3, 1, 4], 1.0)
    assert peers.mean(2.5) == 2.5
    assert peers.any(True)
    assert not peers.any(False)
    assert peers.of_first(lambda: "mine") == "mine"
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 2.0])
    peers.average_gradients([weight])
    assert weight.grad.tolist() == [1.0, 2.0]
    network = torch.nn.BatchNorm2d(1)
    assert peers.with_common_statistics(network) is network


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(count, folder, *arguments):
    """Start processes as torchrun does."""
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, "-m", "napari_dl4smlm.cli", "train", *OPTIONS, *arguments],
            cwd=folder,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(count),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def finish(processes):
    return [(*process.communicate(timeout=240), process.returncode) for process in processes]


def weights(path):
    return torch.cat([value.flatten() for value in load_model(path).network.state_dict().values()])


def test_two_processes_learn_what_one_does(tmp_path):
    together = start(2, tmp_path, "--epochs=2", "--out=two.safetensors")
    alone = start(1, tmp_path, "--epochs=2", "--out=one.safetensors")
    (first, second), (single,) = finish(together), finish(alone)
    assert [first[2], second[2], single[2]] == [0, 0, 0], first[1] + second[1] + single[1]
    one, two = load_model(tmp_path / "one.safetensors"), load_model(tmp_path / "two.safetensors")
    torch.testing.assert_close(
        weights(tmp_path / "two.safetensors"),
        weights(tmp_path / "one.safetensors"),
        rtol=1e-4,
        atol=1e-6,
    )
    for key in ("training_loss", "validation_loss"):
        told = [[epoch[key] for epoch in model.card.history] for model in (one, two)]
        assert told[1] == pytest.approx(told[0], rel=1e-4)
        assert len(told[0]) == 2
    assert "Finished after epoch 2" in first[0] + first[1]
    # one of them speaks, and one writes
    assert second[0] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "one.last.safetensors",
        "one.safetensors",
        "two.last.safetensors",
        "two.safetensors",
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
def test_all_stop_after_the_same_step_when_one_is_asked_to_and_go_on_together(tmp_path):
    processes = start(2, tmp_path, "--epochs=100000", "--out=model.safetensors")
    ends_at = time.monotonic() + 120
    while not (tmp_path / "model.last.safetensors").exists():
        assert time.monotonic() < ends_at
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGTERM)
    first, second = finish(processes)
    assert [first[2], second[2]] == [130, 130], first[1] + second[1]
    assert "Stopped in epoch" in first[0] + first[1]

    stopped = load_model(tmp_path / "model.last.safetensors")
    epochs = len(stopped.card.history)
    resumed = start(2, tmp_path, f"--epochs={epochs + 2}", "--out=model.safetensors", "--resume")
    outcomes = finish(resumed)
    assert [outcome[2] for outcome in outcomes] == [0, 0], outcomes[0][1]
    history = load_model(tmp_path / "model.last.safetensors").card.history
    assert [entry["epoch"] for entry in history] == list(range(1, epochs + 3))


def test_a_peer_that_never_comes_is_an_error_in_one_line(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("connection refused")

    monkeypatch.setattr(torch.distributed, "init_process_group", refuse)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(InputError, match=r"other 2 processes .* cannot be reached: connection"):
        Peers.of_environment(torch.device("cpu"))


def test_messages_are_exchanged(monkeypatch):
    """Two threads stand for two processes; what they send is added up by hand."""
    barrier = threading.Barrier(2)
    sent = {}

    def all_reduce(tensor):
        rank = threading.current_thread().name
        sent[rank] = tensor.clone()
        barrier.wait(120)
        total = sum(sent.values())
        barrier.wait(120)
        tensor.copy_(total)

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    found = {}

    def work(rank):
        peers = Peers(rank, 2)
        weights = [torch.nn.Parameter(torch.zeros(shape)) for shape in ((2, 3), (4,))]
        weights[0].grad = torch.full((2, 3), float(rank))
        weights[1].grad = torch.arange(4.0) * (rank + 1)
        peers.average_gradients(weights)
        found[rank] = (peers.mean(rank), peers.any(rank == 1), [w.grad.tolist() for w in weights])

    threads = [threading.Thread(target=work, args=(rank,), name=str(rank)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = (0.5, True, [[[0.5] * 3] * 2, [0.0, 1.5, 3.0, 4.5]])
    assert found == {0: expected, 1: expected}


def test_who_is_asked_to_stop_after_the_others_were_asked_goes_on_with_them(
    tiny_data, tiny_config, tmp_path, monkeypatch
):
    trainer = Trainer(tiny_data, tiny_config, tmp_path / "m.safetensors")

    def answer_then_interrupt(flag):
        trainer.stop()
        return flag

    monkeypatch.setattr(trainer._peers, "any", answer_then_interrupt)
    assert not trainer._is_to_stop()
    assert trainer._is_to_stop()


def test_what_the_first_process_cannot_do_is_an_error_of_all(monkeypatch):
    """Two threads stand for two processes."""
    barrier = threading.Barrier(2)
    sent = []

    def broadcast(values, src, device):
        del src, device
        if threading.current_thread().name == "0":
            sent.append(values[0])
        barrier.wait(120)
        values[0] = sent[0]

    def save():
        raise InputError("no space left")

    monkeypatch.setattr(torch.distributed, "broadcast_object_list", broadcast)
    told = {}

    def work(rank):
        try:
            Peers(rank, 2).of_first(save)
        except InputError as error:
            told[rank] = str(error)

    threads = [threading.Thread(target=work, args=(rank,), name=str(rank)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {0: "no space left", 1: "no space left"}


@pytest.mark.parametrize("ask", ["mean", "of_first", "average_gradients"])
def test_a_process_that_is_gone_is_an_error_in_one_line(monkeypatch, ask):
    def close(*arguments, **options):
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(torch.distributed, "all_reduce", close)
    monkeypatch.setattr(torch.distributed, "broadcast_object_list", close)
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    argument = {"mean": 1.0, "of_first": lambda: None, "average_gradients": [weight]}[ask]
    with pytest.raises(InputError, match="Another process of this training ended"):
        getattr(Peers(1, 2), ask)(argument)


def test_each_process_normalizes_by_its_own_share_but_on_gpus():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [Peers(0, 1, cpu).fewest_normalized(n) for n in (1, 5)] == [1, 5]
    assert [Peers(0, 2, cpu).fewest_normalized(n) for n in (1, 3, 4)] == [1, 1, 2]
    assert Peers(0, 2, gpu).fewest_normalized(3) == 3
