"""Which files of a source folder are a run's code."""

import os
import stat
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from trainstack.core.runs import ignore_rules, snapshot
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.storage.blobs import BlobStore
from trainstack.storage.digest import of_file


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINSTACK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "net").mkdir(parents=True)
    (folder / "train.py").write_text("import net")
    (folder / "net" / "__init__.py").write_text("")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "train.cpython-311.pyc").write_bytes(b"x")
    return folder


def test_every_file_counts_with_its_digest_and_caches_do_not(source):
    taken = snapshot.take(source)
    assert taken.files == {
        "net/__init__.py": of_file(source / "net" / "__init__.py"),
        "train.py": of_file(source / "train.py"),
    }
    assert str(taken) == "2 files, 10 bytes"


def test_touched_times_change_nothing(source):
    before = snapshot.take(source)
    os.utime(source / "train.py", (1, 1))
    assert snapshot.take(source) == before


def test_another_folder_with_the_same_files_is_the_same(source, tmp_path):
    before = snapshot.take(source)
    source.rename(tmp_path / "elsewhere")
    assert snapshot.take(tmp_path / "elsewhere") == before


def test_a_changed_line_changes_that_file_alone(source):
    before = snapshot.take(source).files
    (source / "train.py").write_text("import nets")
    after = snapshot.take(source).files
    assert {name for name in after if after[name] != before[name]} == {"train.py"}


def test_the_ignore_file_leaves_out_and_is_no_code_itself(source):
    (source / "notes.md").write_text("draft")
    (source / ".gitignore").write_text("*.md\n")
    before = snapshot.take(source)
    assert set(before.files) == {"net/__init__.py", "train.py"}
    (source / ".gitignore").write_text("# a comment\n*.md\n")
    assert snapshot.take(source) == before


def test_trainstackignore_takes_the_place_of_gitignore(source):
    (source / "notes.md").write_text("draft")
    (source / ".gitignore").write_text("train.py\n")
    (source / ".trainstackignore").write_text("*.md\n!important.md\n")
    (source / "important.md").write_text("read")
    assert set(snapshot.take(source).files) == {"net/__init__.py", "train.py", "important.md"}


def test_what_a_run_writes_is_no_code(source):
    for name in ("outputs", "logs"):
        (source / name).mkdir()
        (source / name / "left").write_text("x")
    assert set(snapshot.take(source).files) == {"net/__init__.py", "train.py"}


def test_a_folder_over_the_limit_is_refused(source):
    (source / "weights.bin").write_bytes(bytes(2000))
    with pytest.raises(InvalidInputError, match=r"2,010 bytes.*limit of 1,000.*weights\.bin"):
        snapshot.take(source, limit_bytes=1000)


def test_a_link_that_leaves_the_folder_is_refused(source, tmp_path):
    (tmp_path / "secret").write_text("x")
    (source / "link.py").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInputError, match=r"link\.py"):
        snapshot.take(source)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_code_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match=name):
        snapshot.take(tmp_path / name)


def test_a_stored_snapshot_is_laid_out_again_read_only(source, tmp_path):
    taken = snapshot.take(source)
    blobs = BlobStore(tmp_path / "blobs")
    snapshot.store(source, taken.files, blobs)
    (source / "train.py").write_text("changed since")
    snapshot.lend(taken.files, blobs, tmp_path / "code")
    assert (tmp_path / "code" / "train.py").read_text() == "import net"
    assert not (tmp_path / "code" / "train.py").stat().st_mode & 0o222


def test_a_program_stays_one_and_its_mode_counts(source, tmp_path):
    before = snapshot.take(source)
    (source / "copy.py").write_text("import net")
    (source / "copy.py").chmod(0o700)
    taken = snapshot.take(source)
    assert before.executables == ()
    assert taken.executables == ("copy.py",)
    blobs = BlobStore(tmp_path / "blobs")
    snapshot.store(source, taken.files, blobs)
    snapshot.lend(taken.files, blobs, tmp_path / "code", taken.executables)
    # The same bytes without the bit are another file, whose mode does not follow.
    assert stat.S_IMODE((tmp_path / "code" / "copy.py").stat().st_mode) == 0o555
    assert stat.S_IMODE((tmp_path / "code" / "train.py").stat().st_mode) == 0o444


def test_a_file_that_changes_while_it_is_submitted_is_noticed(source, tmp_path):
    taken = snapshot.take(source)
    (source / "train.py").write_text("import other")
    with pytest.raises(TrainstackError, match=r"train\.py changed"):
        snapshot.store(source, taken.files, BlobStore(tmp_path / "blobs"))


def test_code_that_does_not_fit_is_refused_before_it_is_copied(source, small_disk):
    (source / "table.py").write_bytes(os.urandom(2_000_000))
    blobs = BlobStore(small_disk / "blobs")
    with pytest.raises(TrainstackError, match=r"disk full: the code in .* needs 2,000,010 bytes") as caught:
        snapshot.store(source, snapshot.take(source).files, blobs)
    assert "\n" not in str(caught.value)
    assert list(blobs) == []


PART = st.sampled_from(
    [".git", "__pycache__", "a.pyc", ".DS_Store", "outputs", "logs", "net", "train.py", "x.pycs", ".venv"]
)


@given(st.lists(PART, min_size=1, max_size=4), st.booleans())
def test_what_is_always_ignored_is_ignored_as_git_does(parts, is_folder):
    asked = GitIgnoreSpec.from_lines(ignore_rules.ALWAYS_IGNORED)
    above = ["/".join(parts[:length]) + "/" for length in range(1, len(parts))]
    # What lies in an ignored folder is never asked about.
    if not any(map(asked.match_file, above)):
        name = "/".join(parts) + "/" * is_folder
        assert ignore_rules.always_ignored(name) == bool(asked.match_file(name))


@pytest.fixture
def bare(tmp_path):
    """An empty source folder."""
    folder = tmp_path / "bare"
    folder.mkdir()
    return folder


def git_files(folder):
    """What git would commit of a folder."""
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split("\0")[:-1]
    return sorted(name for name in listed if not name.endswith(".gitignore"))


@pytest.mark.parametrize(
    ("rules", "nested"),
    [
        ("notes\n", ""),
        ("\ufeffnotes\n", ""),
        ("!\n\\\nnotes\n", ""),
        ("*.txt\n!keep.txt\n", ""),
        ("sub/\n", ""),
        ("", "more.py\n"),
        ("*.py\n", "!more.py\n"),
        ("/notes\n", "notes\n"),
        ("# nothing\n\n   \nsub/deep/\n", "!deep/\n"),
    ],
)
def test_ignore_files_mean_what_git_takes_them_for(bare, rules, nested):
    for name in ("train.py", "notes", "keep.txt", "drop.txt", "sub/more.py", "sub/notes", "sub/deep/x.txt"):
        (bare / name).parent.mkdir(parents=True, exist_ok=True)
        (bare / name).write_text(name)
    (bare / ".gitignore").write_text(rules, encoding="utf-8")
    if nested:
        (bare / "sub" / ".gitignore").write_text(nested)
    assert list(snapshot.take(bare).files) == git_files(bare)


FOLDERS = ["", "sub/", "sub/deep/", "lib/", "a b/", "lib/sub/"]
FILES = ["train.py", "a", "b", "notes.txt", "x y", "[a]", "ä.md", "#b", "!a", "back\\slash"]
LITERAL = [
    "!",
    "\\",
    "",
    " ",
    "#b",
    "\\#b",
    "\\!a",
    "**",
    "/**",
    "*",
    "!*/",
    "a\\",
    "[a",
    "\\[a]",
    "x\\ y",
    "a ",
    "a\fb",
]
RULE = st.tuples(
    st.sampled_from(["", "!"]),
    st.sampled_from(["", "/", "**/", "sub/", "/sub/", "*/", "sub/**/"]),
    st.sampled_from(["a", "b", "*.py", "sub", "deep", "lib", "?", "[ab]", "*", "**", "x y", "ä.md", "n*t"]),
    st.sampled_from(["", "/", " ", "/*", "/**"]),
)
RULES = st.lists(st.one_of(st.sampled_from(LITERAL), RULE.map("".join)), max_size=5)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.sets(st.builds("".join, st.tuples(st.sampled_from(FOLDERS), st.sampled_from(FILES))), max_size=12),
    rules=st.dictionaries(st.sampled_from(FOLDERS), RULES, max_size=3),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_generated_folders_are_read_as_git_reads_them(tmp_path_factory, names, rules, end):
    folder = tmp_path_factory.mktemp("generated")
    for name in names | {"kept/kept"}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for where, lines in rules.items():
        (folder / where).mkdir(parents=True, exist_ok=True)
        (folder / where / ".gitignore").write_bytes(end.join(lines).encode())
    expected = git_files(folder)
    if expected:
        assert list(snapshot.take(folder).files) == expected
    else:
        with pytest.raises(InvalidInputError, match="holds no file that is not ignored"):
            snapshot.take(folder)


def test_a_link_to_a_folder_inside_stands_for_its_files(bare):
    (bare / "conf.prod").mkdir()
    (bare / "conf.prod" / "c.json").write_text("{}")
    (bare / "conf").symlink_to("conf.prod")
    assert list(snapshot.take(bare).files) == ["conf.prod/c.json", "conf/c.json"]


@pytest.mark.parametrize("target", ["loop", "nowhere", "."])
def test_a_link_that_leads_nowhere_is_refused(bare, target):
    (bare / "train.py").touch()
    (bare / "loop").symlink_to(target)
    with pytest.raises(InvalidInputError, match=r"loop in .* leads nowhere or back to itself"):
        snapshot.take(bare)


def test_a_name_that_is_not_utf8_is_refused(bare):
    (bare / "train.py").touch()
    (bare / os.fsdecode(b"caf\xe9.txt")).touch()
    with pytest.raises(InvalidInputError, match="has a name that is not UTF-8") as refused:
        snapshot.take(bare)
    str(refused.value).encode()


@pytest.mark.parametrize(("name", "unread"), [(".amlignore", (".amlignore",)), (".gitignore", ())])
def test_ignore_files_of_other_tools_are_named(bare, name, unread):
    (bare / "train.py").touch()
    (bare / name).write_text("data/\n")
    assert snapshot.take(bare).unread == unread


@pytest.mark.parametrize("ignore", [None, "", "!*\n", "!*/\n!**\n", "notes\n"])
def test_secrets_are_no_code_whatever_is_ignored(source, ignore):
    if ignore is not None:
        (source / ".trainstackignore").write_text(ignore)
    secrets = (".env", ".env.local", ".aws/credentials", "net/id_rsa", "net/server.pem", ".netrc", "net/.ssh/config")
    for name in secrets:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("hunter2")
    taken = snapshot.take(source)
    assert not set(secrets) & taken.files.keys()
    assert taken.secrets == (".aws/", ".env", ".env.local", ".netrc", "net/.ssh/", "net/id_rsa", "net/server.pem")


@pytest.mark.parametrize("rule", ["!.env", "!/.env", "!.e*"])
def test_a_secret_that_a_rule_names_is_code(source, rule):
    (source / ".env").write_text("MODE=fast")
    (source / "key.pem").write_text("hunter2")
    (source / ".gitignore").write_text(f"{rule}\n")
    taken = snapshot.take(source)
    assert ".env" in taken.files
    assert taken.secrets == ("key.pem",)


def test_an_ignored_secret_is_not_spoken_of(source):
    (source / ".env").write_text("MODE=fast")
    (source / ".gitignore").write_text(".env\n")
    assert snapshot.take(source).secrets == ()
