# SPDX-License-Identifier: Apache-2.0
"""Metrics on a whole server: what clients do is counted, without a name in it, and counts outlive the processes."""
import re

import pytest
from kmip.core import enums
from kmip.pie.exceptions import KmipOperationFailure

from server import wait_for


def scrape(server):
    """Metrics by name with labels; the text is checked on the way."""
    text = server.keyward("api", "GET", "/metrics").stdout
    assert text.endswith("# EOF\n")
    families, values = set(), {}
    for line in text.splitlines():
        kind = re.fullmatch(r"# TYPE (\w+) (counter|gauge|histogram|info)", line)
        if kind:
            families.add(kind[1])
        elif not line.startswith("#"):
            name, value = re.fullmatch(r"(\w+(?:\{[^{}]*\})?) (\S+)", line).groups()
            assert any(name.startswith(family) for family in families), line
            assert name not in values
            values[name] = float(value)
    return text, values


def requests(server, op, result):
    return scrape(server)[1][f'keyward_requests_total{{op="{op}",result="{result}"}}']


def test_requests_are_counted_by_operation_and_result(server):
    before = requests(server, "Get", "done"), requests(server, "Get", "refused")
    with server.client("counted") as client:
        uid = client.create(enums.CryptographicAlgorithm.AES, 256, name="telling-name")
        for _ in range(3):
            client.get(uid)
        with pytest.raises(KmipOperationFailure):
            client.get("no-such-object")
    wait_for("the counts of Get", lambda: (requests(server, "Get", "done"), requests(server, "Get", "refused")) == (before[0] + 3, before[1] + 1))
    text, values = scrape(server)
    assert values["keyward_serving"] == 1 and values["keyward_objects"] >= 1
    assert values['keyward_endpoints{state="enrolled"}'] >= 1
    assert values['keyward_request_seconds_bucket{op="Get",le="+Inf"}'] == values['keyward_request_seconds_count{op="Get"}']
    assert "telling-name" not in text and uid not in text and "counted" not in text


def test_counts_outlive_a_restart(server):
    with server.client("restarted") as client:
        client.locate()
    wait_for("the counts of Locate", lambda: requests(server, "Locate", "done") >= 1)
    before = requests(server, "Locate", "done")
    server.keyward("restart")
    assert requests(server, "Locate", "done") >= before
