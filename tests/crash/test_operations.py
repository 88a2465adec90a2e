# SPDX-License-Identifier: Apache-2.0
"""A sample of the crash points of each operation (bench.py); `scripts/crash --all` runs all of them, on both tokens."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from bench import Bench  # noqa: E402
from operations import spread  # noqa: E402

# operation: {mode: points}
SAMPLE = {"initialize": {"kill": 8, "EIO": 3, "from ENOSPC": 2}, "set-credential": {"kill": 6, "EIO": 3, "ENOSPC": 2},
          "reverse-migrate": {"kill": 6, "EIO": 2, "from ENOSPC": 2}, "create": {"kill": 6, "EIO": 4, "from EIO": 3},
          "destroy": {"kill": 6, "EIO": 3, "from ENOSPC": 3}, "change-passphrase": {"kill": 4, "EIO": 2, "from ENOSPC": 2},
          "rotate-wallet-password": {"kill": 5, "EIO": 2, "ENOSPC": 2}, "rotate-master-key": {"kill": 4, "EIO": 2, "ENOSPC": 1},
          "rotate-data-keys": {"kill": 8, "EIO": 3, "ENOSPC": 2}}
SECOND_TOKEN = {"initialize": 3, "set-credential": 4, "reverse-migrate": 2, "rotate-wallet-password": 4}
CUTS = {"initialize": 10, "set-credential": 12, "reverse-migrate": 6, "create": 12, "destroy": 10, "change-passphrase": 8,
        "rotate-wallet-password": 12, "rotate-master-key": 6, "rotate-data-keys": 14}


@pytest.fixture(scope="module")
def bench():
    with Bench("softhsm") as made:
        yield made


@pytest.fixture(scope="module")
def second():
    with Bench("opencryptoki") as made:
        yield made


def attempted(bench, operation, modes):
    """What is broken after runs at points over the whole span."""
    total = len(bench.count(operation))
    assert total > 3
    broken = [bench.attempt(operation, mode, n) for mode, count in modes.items() for n in spread(total, count)]
    return [b for b in broken if b]


@pytest.mark.parametrize("name", SAMPLE)
def test_whatever_is_killed_or_fails_half_way_is_whole_afterwards(bench, name):
    assert attempted(bench, bench.operations[name], SAMPLE[name]) == []


@pytest.mark.parametrize("name", SECOND_TOKEN)
def test_so_it_is_on_another_token(second, name):
    assert attempted(second, second.operations[name], {"kill": SECOND_TOKEN[name]}) == []


@pytest.mark.parametrize("name", CUTS)
def test_a_power_cut_leaves_the_old_or_the_new_and_nothing_acknowledged_is_lost(bench, name):
    record = bench.record(bench.operations[name])
    cuts = record.cuts()
    assert any(cut.acknowledged for cut in cuts)
    wanted = [cuts[n - 1] for n in spread(len(cuts), CUTS[name])]
    assert [problem for problem in (bench.cut(record, cut) for cut in wanted) if problem] == []


def test_a_forgotten_sync_would_be_found(bench):
    record = bench.record(bench.operations["create"])
    record.disk.effects = [e for e in record.disk.effects if not (e.kind == "sync" and e.path.endswith("store.db-wal"))]
    cuts = [cut for cut in record.cuts() if cut.acknowledged]
    assert any("found []" in bench.cut(record, cut) for cut in cuts[:8])
