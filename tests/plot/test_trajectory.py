"""The path of the weights: the plane of a known path is found, and snapshots keep within their bounds."""

import numpy as np
import pytest
from support.clouds import blobs, network

import nnx
from nnx import plot
from nnx.errors import ConfigError, DataError, DivergedError
from nnx.plot.trajectory import Route, _around, plane_of
from nnx.train import Snapshot, Snapshots, read_snapshots


def host(array):
    return nnx.backends.of(array).to_numpy(array)


def known_path(backend):
    """A model, and snapshots that lie at known places in a known plane through its weights."""
    model = nnx.Sequential(nnx.Linear(4, 3)).initialize(0, dtype="float64").to(backend)
    draws = np.random.default_rng(1)
    first, second = np.linalg.qr(draws.normal(size=(15, 2)))[0].T
    places = np.asarray([[9.0, -1.0], [6.0, 2.0], [3.0, 2.0], [-1.0, -1.0]])
    places = places @ np.linalg.svd(places)[2].T  # turned so that the axes are the principal ones
    home = {path: host(w) for path, w in model.parameters().items()}
    snapshots = []
    for epoch, (a, b) in enumerate(places):
        way = a * first + b * second
        parts = {"layers.0.bias": way[:3], "layers.0.weight": way[3:].reshape(4, 3)}
        weights = {path: backend.asarray(w + parts[path], dtype="float64") for path, w in home.items()}
        snapshots.append(Snapshot(epoch, weights))
    return model, snapshots, places, (first, second)


def test_the_plane_of_a_known_path_is_found(backend):
    model, snapshots, places, directions = known_path(backend)
    route = plane_of(model, snapshots)
    signs = np.sign(places[np.abs(places).argmax(axis=0), [0, 1]])
    np.testing.assert_allclose(route.points, places * signs, atol=1e-10)
    np.testing.assert_allclose(route.shares, np.sum(places**2, axis=0) / np.sum(places**2), rtol=1e-10)
    for found, wanted, sign in zip(route.directions, directions, signs):
        flat = np.concatenate([found["layers.0.bias"], found["layers.0.weight"].reshape(-1)])
        np.testing.assert_allclose(flat, sign * wanted, atol=1e-10)
    assert route.epochs.tolist() == [0, 1, 2, 3]


def test_the_greatest_coordinate_along_each_direction_is_positive():
    model = nnx.Sequential(nnx.Linear(4, 3)).initialize(0, dtype="float64")
    for seed in range(8):
        draws = np.random.default_rng(seed)
        snapshots = [
            Snapshot(i, {p: draws.normal(size=w.shape) for p, w in model.parameters().items()}) for i in range(4)
        ]
        points = plane_of(model, snapshots).points
        assert (points[np.abs(points).argmax(axis=0), [0, 1]] > 0).all()


def test_the_loss_of_the_plane_is_that_of_the_weights_there(backend):
    model, snapshots, _, _ = known_path(backend)
    data = blobs()
    route = plot.trajectory(model, data, snapshots, points=4, rows=50)
    few = data.take(np.linspace(0, 89, 50).astype(int))
    x, y = route.plane.x[1], route.plane.y[2]
    moved = model.map_arrays(
        lambda path, w: backend.asarray(host(w) + x * route.directions[0][path] + y * route.directions[1][path])
    )
    assert route.plane.values[2, 1] == pytest.approx(nnx.evaluate(moved, few)["loss"], rel=1e-9)
    assert route.plane.x[0] < route.points[:, 0].min() < route.points[:, 0].max() < route.plane.x[-1]
    columns = route.columns()
    assert columns["what"].count("path") == 4
    assert columns["what"].count("plane") == 16


def test_a_path_that_is_a_line_or_no_way_at_all_has_a_plane_too():
    model, snapshots, _, _ = known_path(nnx.backends.get("numpy"))
    route = plot.trajectory(model, blobs(), [snapshots[0], Snapshot(1, model.parameters())], points=3)
    np.testing.assert_allclose(route.shares, [1.0, 0.0], atol=1e-12)
    assert np.isfinite(route.plane.values).all()
    still = plot.trajectory(model, blobs(), [Snapshot(e, model.parameters()) for e in (0, 1)], points=3)
    assert still.shares.tolist() == [0.0, 0.0]
    assert np.ptp(still.plane.values) == 0


def test_snapshots_of_another_model_and_too_few_are_refused():
    model, snapshots, _, _ = known_path(nnx.backends.get("numpy"))
    with pytest.raises(DataError, match="two snapshots of the weights or more, got 1"):
        plane_of(model, snapshots[:1])
    with pytest.raises(DataError, match="the snapshots are of another model"):
        plane_of(network().initialize(0), snapshots)
    bad = {path: w * np.nan for path, w in snapshots[0].weights.items()}
    with pytest.raises(DataError, match="not a finite number"):
        plane_of(model, [snapshots[0], Snapshot(7, bad)])


# the callback ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("epochs", "most", "kept"),
    [
        (4, 5, [0, 1, 2, 3, 4]),
        (5, 5, [0, 2, 4, 5]),
        (6, 5, [0, 2, 4, 6]),
        (9, 5, [0, 4, 8, 9]),
        (10, 5, [0, 4, 8, 10]),
        (16, 5, [0, 4, 8, 12, 16]),
    ],
)
def test_copies_are_evenly_spaced_and_within_their_number(epochs, most, kept):
    snapshots = Snapshots(most)
    counts = []
    nnx.fit(
        network(), blobs(), epochs=epochs, callbacks=[snapshots, lambda run, record: counts.append(len(snapshots.kept))]
    )
    assert [one.epoch for one in snapshots.kept] == kept
    assert max(counts) <= most


def test_they_are_the_weights_of_their_epochs_and_come_back_from_the_disk(backend, tmp_path):
    seen, snapshots = {}, Snapshots()

    def note(run, record):
        seen[record["epoch"]] = {path: host(w).copy() for path, w in run.model.parameters().items()}

    model = network().initialize(4)
    seen[0] = {path: host(w).copy() for path, w in model.parameters().items()}
    nnx.fit(model, blobs(), epochs=3, backend=backend, callbacks=[note, snapshots], directory=tmp_path)
    read = read_snapshots(tmp_path / "snapshots.safetensors")
    for kept in (snapshots.kept, read):
        assert [one.epoch for one in kept] == [0, 1, 2, 3]
        for epoch, weights in kept:
            assert {path: host(w).tobytes() for path, w in weights.items()} == {
                path: w.tobytes() for path, w in seen[epoch].items()
            }


def test_a_model_too_large_for_three_copies_keeps_none(tmp_path):
    snapshots = Snapshots(megabytes=1e-3)
    nnx.fit(network(), blobs(), epochs=2, callbacks=[snapshots], directory=tmp_path)
    assert snapshots.kept == []
    assert "no copies of the weights: three would take" in snapshots.note
    assert not (tmp_path / "snapshots.safetensors").exists()


def test_what_diverged_is_not_kept(tmp_path):
    snapshots = Snapshots()
    train = blobs(task="regression")
    model = nnx.Sequential(nnx.Linear(4, 1))
    with pytest.raises(DivergedError, match="a finite loss"), np.errstate(all="ignore"):
        nnx.fit(model, train, epochs=60, optimizer=nnx.optim.SGD(10.0), callbacks=[snapshots])
    assert all(np.isfinite(w).all() for one in snapshots.kept for w in one.weights.values())


def test_fewer_than_three_copies_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="most ≥ 3 copies, got 2"):
        Snapshots(2)
    nnx.save(network().initialize(0), tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="a file of snapshots"):
        read_snapshots(tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="a model file"):
        read_snapshots(tmp_path / "none.safetensors")


def test_a_path_along_one_line_is_seen_from_both_sides():
    points = np.asarray([[10.0, 0.0], [0.0, 0.0]])
    route = Route(np.arange(2), points, np.asarray([1.0, 0.0]), ({}, {}))
    assert _around(points[:, 0], route, 3, 0.25).tolist() == [-2.5, 5.0, 12.5]
    assert _around(points[:, 1], route, 3, 0.25).tolist() == [
        -1.5,
        0.0,
        1.5,
    ]  # a fifth of the longer side, and a margin
