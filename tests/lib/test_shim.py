# SPDX-License-Identifier: Apache-2.0
"""The PKCS#11 shim forwards, spoils, counts and traces as its control file says."""
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import p11  # noqa: E402
import shim as shims  # noqa: E402
import tokens  # noqa: E402


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    with tokens.SoftHsm(tmp_path_factory.mktemp("hsm") / "t") as token:
        token.generate_key("k", "01")
        yield token


@pytest.fixture
def shim(token, tmp_path):
    return shims.Shim(token, tmp_path / "shim")


def program(shim, body):
    """A client on the shim; `m` is the module, `s` a session, `k` the key."""
    return (
        f"m = p11.Module({str(shim.library)!r})\n"
        f"s = m.open({shim.label!r}, {shim.pin!r})\n"
        "(k,) = m.find(s, [(p11.CKA_ID, b'\\x01')])\n"
    ) + textwrap.dedent(body)


def client(shim, body):
    return p11.run_alone(program(shim, body), shim.env)


def said(done):
    """What the client printed; it must have ended well."""
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode().split()


def test_a_silent_shim_is_transparent(shim, token):
    assert shim.objects() == token.objects()
    shim.generate_key("second", "02")
    assert len(token.keys("second")) == 1
    token.delete("second", "02")


def test_the_trace_counts_logins_and_knows_no_pin(shim):
    shim.objects()
    shim.objects()
    assert shim.calls("C_Login") == 2, "counted over both processes"
    assert shim.trace()[0] == "C_GetFunctionList"
    assert shim.pin not in shim.trace_file.read_text()
    assert shim.pin.encode() not in shim.counts.read_bytes()
    shim.set()
    assert shim.calls() == 0


def login_results(shim, times):
    return [shim.tool("--list-objects", check=False).stderr for _ in range(times)]


def test_a_call_and_all_later_ones_fail(shim):
    shim.set("rv=C_Login:32:2")  # CKR_DEVICE_REMOVED
    results = login_results(shim, 3)
    assert [("CKR_DEVICE_REMOVED" in r) for r in results] == [False, True, True]


def test_a_single_call_fails(shim):
    shim.set("rv=C_Login:a4:2-")
    results = login_results(shim, 3)
    assert [("CKR_PIN_LOCKED" in r) for r in results] == [False, True, False]


def test_any_counts_all_functions(shim):
    shim.set()
    shim.objects()
    before = shim.trace()
    at = before.index("C_OpenSession") + 1
    shim.set(f"rv=any:30:{at}-")
    done = shim.tool("--list-objects", check=False)
    assert "C_OpenSession" in done.stderr and "CKR_DEVICE_ERROR" in done.stderr


@pytest.mark.parametrize(
    "word,number", [("crash", signal.SIGSEGV), ("abort", signal.SIGABRT), ("kill", signal.SIGKILL)]
)
def test_the_process_dies(shim, word, number):
    shim.set(f"{word}=C_FindObjectsInit:1")
    assert client(shim, "").returncode == -number
    assert shim.trace()[-1] == "C_FindObjectsInit", "the last call is known"


def test_a_call_hangs(shim):
    shim.set("hang=C_FindObjectsInit:1")
    with p11.start_alone(program(shim, ""), shim.env) as process:
        tokens._await(lambda: shim.trace()[-1:] == ["C_FindObjectsInit"], "the call", 90)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.kill()


def test_a_call_is_slow(shim):
    shim.set("slow=C_Login:300")
    start = time.monotonic()
    shim.objects()
    assert time.monotonic() - start >= 0.3


def test_a_call_waits_until_it_may_go_on(shim):
    shim.set("wait=C_FindObjectsInit")
    with p11.start_alone(program(shim, ""), shim.env) as process:
        tokens._await(lambda: shim.trace()[-1:] == ["C_FindObjectsInit"], "the call", 90)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        shim.set(keep_counts=True)
        assert process.wait(90) == 0
    assert "C_FindObjects" in shim.trace()


def test_a_call_prints(shim):
    shim.set("print=C_Login")
    done = client(shim, "")
    assert b"vendor: " in done.stdout and b"vendor: " in done.stderr
    assert done.returncode == 0


ROUND_TRIP = """
c = m.crypt("Encrypt", s, p11.mechanism(p11.CKM_AES_CBC, bytes(16)), k, bytes(range(32)))
d = m.crypt("Decrypt", s, p11.mechanism(p11.CKM_AES_CBC, bytes(16)), k, c)
print(d == bytes(range(32)) if isinstance(d, bytes) else hex(d))
"""


@pytest.mark.parametrize(
    "words,result",
    [
        ((), "True"),
        (("garbage=C_Decrypt:1",), "False"),
        (("garbage=C_Encrypt:1",), "False"),
        (("garbage=C_Decrypt:2",), "True"),
        (("length=C_Decrypt:ffffffffffffffff:1",), "0xffffffffffffffff"),
        (("length=C_Decrypt:10:1-",), "False"),
    ],
)
def test_ok_with_wrong_bytes(shim, words, result):
    shim.set(*words)
    assert said(client(shim, ROUND_TRIP)) == [result]


@pytest.mark.parametrize(
    "word,mechanism,parameter",
    [("nocbc", "CBC", 16), ("nocbcpad", "CBC_PAD", 16), ("noecb", "ECB", 0), ("nogcm", "GCM", 12)],
)
def test_a_mechanism_is_refused(shim, word, mechanism, parameter):
    made = ("p11.gcm(bytes(12))" if mechanism == "GCM" else
            f"p11.mechanism(p11.CKM_AES_{mechanism}, {'bytes(16)' if parameter else None})")
    body = f"""
    for verb in ("C_EncryptInit", "C_DecryptInit"):
        s2 = p11.c_ulong()
        print(hex(m.raw(verb, s, p11.byref({made}), k)))
    """
    shim.set(word)
    assert said(client(shim, body)) == ["0x70", "0x70"]
    shim.set()
    assert said(client(shim, body))[0] == "0x0"


def test_the_seventeen_functions_only(shim):
    minimal = {"CloseSession", "Decrypt", "DecryptInit", "Encrypt", "EncryptInit", "Finalize",
               "FindObjects", "FindObjectsFinal", "FindObjectsInit", "GenerateKey",
               "GenerateRandom", "GetFunctionList", "GetSlotList", "GetTokenInfo", "Initialize",
               "Login", "OpenSession"}
    body = "print(*[n for n in p11.NAMES if m.has('C_' + n)])"
    shim.set("only17=null")
    assert set(said(client(shim, body))) == minimal
    shim.set("only17=nosup")
    assert set(said(client(shim, body))) == set(p11.NAMES)
    body = "print(hex(m.raw('C_GetSessionInfo', s, bytes(64)))); print(hex(m.raw('C_Logout', s)))"
    assert said(client(shim, body)) == ["0x54", "0x54"]
    assert said(client(shim, ROUND_TRIP)) == ["True"]


def test_no_data_objects(shim, token):
    body = """
    o = p11.c_ulong()
    t = [(p11.CKA_CLASS, p11.CKO_DATA), (p11.CKA_TOKEN, False), (p11.CKA_VALUE, b"7")]
    print(hex(m.raw("C_CreateObject", s, *p11.template(t), p11.byref(o))))
    """
    assert said(client(shim, body)) == ["0x0"]
    shim.set("nodata")
    assert said(client(shim, body)) == ["0x13"]


def test_ids_in_use(shim, token):
    body = """
    try:
        m.generate(s, b"twin", b"\\x05")
        m.generate(s, b"twin", b"\\x05")
    except p11.Refused as refused:
        print(hex(refused.rv))
    print(len(m.find(s, [(p11.CKA_ID, b"\\x05")])))
    for o in m.find(s, [(p11.CKA_ID, b"\\x05")]):
        m.call("C_DestroyObject", s, o)
    """
    assert said(client(shim, body)) == ["2"]
    shim.set("uniqueid")
    assert said(client(shim, body)) == ["0x13", "1"]
    shim.set("replaceid")
    assert said(client(shim, body)) == ["1"]


def test_gcm_of_luna(shim):
    shim.set("gcm=luna")
    body = """
    text = b"t" * 32
    a = m.crypt("Encrypt", s, p11.gcm(b"i" * 12, b"head"), k, text)
    b = m.crypt("Encrypt", s, p11.gcm(b"i" * 12, b"head"), k, text)
    print(len(a), a != b, m.crypt("Decrypt", s, p11.gcm(b"x" * 12, b"head"), k, a) == text)
    m.call("C_EncryptInit", s, p11.byref(p11.gcm(b"i" * 12)), k)
    n = p11.c_ulong(0)
    m.call("C_Encrypt", s, text, 32, None, p11.byref(n))
    room = p11.c_ulong(63)
    print(n.value, hex(m.raw("C_Encrypt", s, text, 32, bytes(64), p11.byref(room))))
    try:
        m.crypt("Decrypt", s, p11.gcm(b"x" * 12, b"other"), k, a)
    except p11.Refused:
        print("refused")
    """
    assert said(client(shim, body)) == ["64", "True", "True", "64", "0x150", "refused"]


def test_gcm_of_cloudhsm(shim):
    shim.set("gcm=cloudhsm")
    body = """
    text = b"t" * 32
    g = p11.gcm(bytes(12))
    c = m.crypt("Encrypt", s, g, k, text)
    iv = g.keep.iv_bytes.raw
    print(iv != bytes(12), m.crypt("Decrypt", s, p11.gcm(iv), k, c) == text)
    print(hex(m.raw("C_EncryptInit", s, p11.byref(p11.gcm(b"i" * 12)), k)))
    """
    assert said(client(shim, body)) == ["True", "True", "0x71"]


def test_a_lost_device_is_lost_to_one_process(shim):
    shim.set("lost=C_FindObjectsInit:2-")
    body = """
    print(hex(m.raw("C_FindObjectsInit", s, None, 0)), hex(m.raw("C_GenerateRandom", s, bytes(4), 4)),
          hex(m.raw("C_GetSessionInfo", s, bytes(64))))
    """
    assert said(client(shim, body)) == ["0x30", "0x30", "0x0"]
    assert said(client(shim, body))[0] == "0x0"


def test_an_old_view_ends_with_the_process(shim, token):
    shim.set("stale")
    body = """
    import subprocess, os, sys
    before = len(m.find(s, [(p11.CKA_CLASS, 4)]))
    code = f"import sys; sys.path[:0] = {sys.path!r}; import p11; m = p11.Module({m_path!r}); " \
           f"s = m.open({label!r}, {pin!r}); m.generate(s, b'late', b'\\x09')"
    subprocess.run([sys.executable, "-c", code], check=True)
    print(before == len(m.find(s, [(p11.CKA_CLASS, 4)])))
    m.generate(s, b"own", b"\\x0a")
    print(len(m.find(s, [(p11.CKA_CLASS, 4)])) - before)
    """
    known = f"m_path, label, pin = {str(shim.library)!r}, {shim.label!r}, {shim.pin!r}\n"
    assert said(client(shim, known + textwrap.dedent(body))) == ["True", "1"]
    assert said(client(shim, "print(len(m.find(s, [(p11.CKA_ID, b'\\x09')])))")) == ["1"]
    for label, number in (("late", "09"), ("own", "0a")):
        token.delete(label, number)


def test_slots_have_other_numbers_in_each_process(shim):
    shim.set("renumber", "accelerator")
    body = """
    n = p11.c_ulong(8)
    slots = (p11.c_ulong * 8)()
    m.call("C_GetSlotList", 1, slots, p11.byref(n))
    print(*slots[:n.value])
    """
    first, second = said(client(shim, body)), said(client(shim, body))
    assert first[0] == second[0] and not set(first[1:]) & set(second[1:])


def test_functions_can_be_missing_one_by_one(shim):
    shim.set("null=C_GenerateKey", "null=C_CopyObject")
    assert said(client(shim, "print(m.has('C_GenerateKey'), m.has('C_CopyObject'), m.has('C_Login'))")) == [
        "False", "False", "True"]


def test_a_hostile_library_tells_what_it_reached(shim, tmp_path):
    (tmp_path / "secret").write_text("s")
    shim.env["KWSHIM_SECRET"] = str(tmp_path / "secret")
    shim.set("probe=C_Login:1-")
    assert client(shim, "").returncode == 0
    probes = shim.probes()
    assert set(probes) == {"list-root", "read-shadow", "read-secret", "read-parent", "trace-parent",
                           "signal-parent", "connect", "map-code", "run", "own-parent", "slow-parent",
                           "no-new-privs", "seccomp", "dumpable"}
    assert probes["list-root"] == probes["read-secret"] == probes["run"] == 0
    shim.set("probe=C_Login:1-")
    shim.env["KWSHIM_SECRET"] = str(tmp_path / "nothing")
    client(shim, "")
    assert shim.probes()["read-secret"] == 2


@pytest.mark.parametrize(
    "word", ["nonsense", "rv=C_Nothing:30:1", "rv=C_Login:30", "rv=C_Login:30:0", "hang=C_Login:x",
             "only17=perhaps", "slow=C_Login:5:6"]
)
def test_a_word_it_does_not_know_is_fatal(shim, word):
    shim.set(word)
    done = client(shim, "")
    assert done.returncode == -signal.SIGABRT
    assert b"keyward-test-shim: " in done.stderr


def test_comments_and_white_space(shim):
    shim.set("# rv=C_Login:32:1", "\tnodata  nogcm", "")
    assert client(shim, "").returncode == 0


def test_counts_hold_across_processes_at_once(shim):
    words = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import p11\n"
             "m = p11.Module(sys.argv[2])\nfor _ in range(200): m.raw('C_Logout', 1)",
             os.path.dirname(os.path.abspath(__file__)), str(shim.library)]
    running = [subprocess.Popen(words, env={**os.environ, **shim.env}) for _ in range(4)]
    assert [p.wait(60) for p in running] == [0, 0, 0, 0]
    assert shim.calls("C_Logout") == 800
    assert "00000000800\n" in shim.counts.read_text()


BAD = {
    "no-symbol": "C_GetFunctionList", "aborts": -signal.SIGABRT, "refuses": "0x5",
    "no-list": "NULL pointer access", "hangs": None, "needs": "undefined symbol",
}  # not "forks": what it leaves behind would stay


@pytest.mark.parametrize("name", BAD)
def test_bad_libraries_are_bad(name):
    code = f"m = p11.Module({str(shims.bad_library(name))!r}); m.call('C_Initialize', None)"
    if BAD[name] is None:
        with pytest.raises(subprocess.TimeoutExpired):
            p11.run_alone(code, {}, timeout=1)
        return
    done = p11.run_alone(code, {})
    if isinstance(BAD[name], int):
        assert done.returncode == BAD[name]
    else:
        assert BAD[name] in done.stderr.decode()
    if name == "refuses":
        assert b"licence" in done.stdout and b"licence" in done.stderr


def test_stands_before_opencryptoki_too(tmp_path):
    with tokens.OpenCryptoki(tmp_path / "t") as token:
        shim = shims.Shim(token, tmp_path / "shim")
        shim.set("rv=C_GenerateKey:31:1-")
        with pytest.raises(tokens.TokenError, match="CKR_DEVICE_MEMORY"):
            shim.generate_key("k", "01")
        shim.generate_key("k", "01")
        assert len(token.keys("k")) == 1
        assert shim.calls("C_GenerateKey") == 2
