"""The command as a process of its own: what it imports, terminals, pipes, signals, two at once."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest
from support.process import run_python
from support.runs import records

import nnx as library

COMMAND = [sys.executable, "-P", "-m", "nnx"]
QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def environment(**more):
    kept = {
        name: value for name, value in os.environ.items() if name not in ("NNX_DEBUG", "COLUMNS", "NO_COLOR", "TERM")
    }
    return kept | QUIET | {"TERM": "xterm-256color"} | more


def start(folder, *arguments, **options):
    """A command that obeys ^C, wherever the tests run."""

    def obey():
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, preexec_fn=obey, **options,
    )  # fmt: skip


def wait_for(path, what, seconds=60):
    """Until a file holds a line, or the test fails."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and what in path.read_text():
            return
        time.sleep(0.02)
    pytest.fail(f"{path} has no {what!r} after {seconds} s")


def on_a_terminal(folder, *arguments, columns=80, **more):
    """Everything that a command writes to a terminal of this width."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=folder, env=environment(**more), stdin=follower, stdout=follower,
        stderr=follower, close_fds=True,
    )  # fmt: skip
    os.close(follower)
    text = b""
    while True:
        ready, _, _ = select.select([leader], [], [], 60)
        try:
            piece = os.read(leader, 65536) if ready else b""
        except OSError:  # Linux: the other end is closed
            piece = b""
        if not piece:
            break
        text += piece
    os.close(leader)
    assert process.wait(timeout=60) == 0, text.decode()
    return text.decode()


def screen(text):
    """The lines as a terminal leaves them: a carriage return and "erase line" take back what was on the line."""
    lines, at = [""], 0
    for piece in re.split(r"(\r\n|\n|\r|\x1b\[2K|\x1b\[1A)", re.sub(r"\x1b\[[0-9;?]*[mhl]", "", text)):
        if piece in ("\r\n", "\n"):
            at += 1
            lines += [""] if at == len(lines) else []
        elif piece == "\x1b[2K":
            lines[at] = ""
        elif piece == "\x1b[1A":
            at -= 1
        elif piece not in ("\r", ""):
            lines[at] = piece + lines[at][len(piece) :]
    return [line.rstrip() for line in lines]


def test_the_commands_libraries_are_imported_only_when_it_runs(tmp_path):
    code = "import sys, nnx, nnx.cli; print([name for name in ('cyclopts', 'rich', 'matplotlib', 'safetensors') if name in sys.modules])"
    assert run_python(code, tmp_path).strip() == "[]"


def test_the_installed_command_and_the_module_are_one(tmp_path):
    script = os.path.join(os.path.dirname(sys.executable), "nnx")
    for command in ([script], COMMAND):
        done = subprocess.run([*command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == library.__version__
    failed = subprocess.run([*COMMAND, "trian"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1


def test_a_terminal_shows_a_live_line_and_one_line_an_epoch(tmp_path):
    text = on_a_terminal(tmp_path, "train", "digits", "--epochs", 8)
    assert "━" in text, "the line of the epoch at hand moved"
    assert "\x1b[32m" in text, "a better epoch is green"
    finished = 0
    for number, what in re.findall(r"(\d+)/8 +([━\d])", text):
        assert int(number) > finished, f"epoch {number} is drawn as going on after its line was finished"
        finished = finished if what == "━" else int(number)
    lines = screen(text)
    assert all(len(line) <= 80 for line in lines), [line for line in lines if len(line) > 80]
    head = next(i for i, line in enumerate(lines) if line.split()[:1] == ["epoch"])
    assert lines[head].split() == [
        "epoch",
        "loss",
        "val",
        "loss",
        "val",
        "accuracy",
        "best",
        "(epoch)",
        "examples/s",
        "left",
    ]
    assert [line.split()[0] for line in lines[head + 1 : head + 9]] == [f"{i}/8" for i in range(1, 9)]
    assert not any("━" in line for line in lines), "nothing of it stays"
    for number in lines[head + 8].split()[1:4]:
        assert re.fullmatch(r"\d\.\d+", number)
    assert re.search(r"0:00$", lines[head + 8])


def test_no_color_and_narrow_terminals(tmp_path):
    text = on_a_terminal(tmp_path, "train", "digits", "--epochs", 3, columns=60, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", text)
    assert "1/3" in text


def test_a_dumb_terminal_gets_plain_lines(tmp_path):
    assert "\x1b" not in on_a_terminal(tmp_path, "train", "digits", "--epochs", 2, "--model", "linear", TERM="dumb")


def test_many_epochs_do_not_flood_a_terminal(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{i},{'yn'[i % 2]}\n" for i in range(40)))
    lines = screen(on_a_terminal(tmp_path, "train", "t.csv", "--epochs", 240, "--model", "linear"))
    assert sum("/240 " in line for line in lines) == 49


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "ended by ^C"), (signal.SIGTERM, 143, "ended by SIGTERM")]
)
def test_a_signal_keeps_everything(number, code, said, tmp_path):
    process = start(tmp_path, "train", "digits", "--epochs", 100_000, "--out", "run")
    wait_for(tmp_path / "run" / "metrics.jsonl", '"epoch": 2')
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert err == ""
    assert said in out
    model = library.load(tmp_path / "run" / "model.safetensors")
    _, val = library.data.split(library.data.load("digits"), (0.8, 0.2), seed=0)
    shown = re.search(r"held out  accuracy (\S+)", out)[1]
    assert f"{library.evaluate(model, val)['accuracy']:.4f}" == shown, "what is said is what was kept"
    assert len(records(tmp_path / "run")) >= 2


def test_a_second_interrupt_leaves_at_once(tmp_path):
    code = (
        "import os, signal, sys\nfrom nnx.train.callbacks import base as callbacks\nfrom nnx.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def twice(self, run, record):\n    os.kill(os.getpid(), signal.SIGINT)\n    os.kill(os.getpid(), signal.SIGINT)\n    print('not reached')\n"
        "callbacks.MetricsFile.on_epoch = twice\n"
        "print(main(['train', 'digits', '--model', 'linear', '--out', 'run']))"
    )
    out = run_python(code, tmp_path, NNX_DEBUG="")
    assert out.splitlines()[-1] == "130"
    assert "not reached" not in out


def test_a_reader_that_leaves_does_not_end_a_training(tmp_path):
    command = f"{' '.join(COMMAND)} train digits --epochs 3 --model linear --out run | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0].startswith("data   digits")
    assert "Traceback" not in done.stderr
    assert len(records(tmp_path / "run")) == 3
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_a_reader_that_leaves_ends_a_listing(tmp_path):
    assert (
        subprocess.run(
            [*COMMAND, "train", "digits", "--epochs", "1", "--model", "linear", "--out", "run"],
            cwd=tmp_path,
            env=environment(),
            check=False,
            capture_output=True,
        ).returncode
        == 0
    )
    command = f"{' '.join(COMMAND)} predict run digits | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[1] in ("141", "0"), "0 where the pipe took all of it"
    assert done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_under_the_output(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "train", "digits", "--epochs", "2", "--model", "linear", "--out", "run"], cwd=tmp_path,
                              env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False)  # fmt: skip
        assert done.returncode == 0
        assert done.stderr == "nnx: the output cannot be written (No space left on device); the training goes on\n"
        assert (tmp_path / "run" / "model.safetensors").exists()
        done = subprocess.run(
            [*COMMAND, "summary", "run"],
            cwd=tmp_path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr == "nnx: No space left on device\n"


def test_two_trainings_at_once_get_a_directory_each(tmp_path):
    both = [start(tmp_path, "train", "digits", "--epochs", 1, "--model", "linear") for _ in range(2)]
    assert [process.communicate(timeout=60)[1] for process in both] == ["", ""]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["digits-001", "digits-002"]
    for run in (tmp_path / "runs").iterdir():
        assert len(records(run)) == 1
    both = [start(tmp_path, "train", "digits", "--epochs", 1, "--model", "linear", "--out", "one") for _ in range(2)]
    ends = [process.communicate(timeout=60) for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], ends
    assert len(records(tmp_path / "one")) == 1
