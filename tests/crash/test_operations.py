# SPDX-License-Identifier: Apache-2.0
"""A sample of the crash points of each operation (operations.py); `scripts/crash` runs all of them."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from operations import OPERATIONS, Bench, spread  # noqa: E402

# operation: {mode: points}
SAMPLE = {"initialize": {"kill": 12, "EIO": 4, "from ENOSPC": 3}, "set-credential": {"kill": 6, "EIO": 3, "ENOSPC": 2},
          "reverse-migrate": {"kill": 8, "EIO": 3, "from ENOSPC": 3}, "create": {"kill": 6, "EIO": 4, "from EIO": 3},
          "destroy": {"kill": 6, "EIO": 3, "from ENOSPC": 3}, "change-passphrase": {"kill": 5, "EIO": 2, "from ENOSPC": 2},
          "rotate-wallet-password": {"kill": 5, "EIO": 2, "ENOSPC": 2}, "rotate-master-key": {"kill": 6, "EIO": 2, "ENOSPC": 2},
          "rotate-data-keys": {"kill": 8, "EIO": 3, "ENOSPC": 2}}


@pytest.fixture(scope="module")
def bench():
    with Bench() as made:
        yield made


@pytest.mark.parametrize("name", SAMPLE)
def test_whatever_is_killed_or_fails_half_way_is_whole_afterwards(bench, name):
    operation = OPERATIONS[name]
    total = len(bench.count(operation))
    assert total > 3
    broken = [bench.attempt(operation, mode, n) for mode, count in SAMPLE[name].items() for n in spread(total, count)]
    assert [b for b in broken if b] == []
