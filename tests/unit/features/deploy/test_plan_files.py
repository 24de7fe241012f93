"""Plans as files: written and read back, recognised by content, refused where they can't be believed."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from slotwright import __version__
from slotwright.cluster.steps import Plan
from slotwright.errors import ExitCode, InputError, RefusedError, SlotwrightError
from slotwright.features.deploy.model import ApprovedPlan
from slotwright.features.deploy.outcome import refuse_other, refuse_stale
from slotwright.features.deploy.plan.approval import to_be_approved
from slotwright.features.deploy.plan_files import demand_place, is_plan_file, made_now, plan_text, read_plan, write_plan
from slotwright.features.deploy.views import show_plan
from slotwright.features.deploy.views_sheet import sheet_text
from tests.fakes.situations import plan


def change() -> Plan:
    return plan(
        file={"settings": {"maxmemory": "2mb"}},
        record={"file": {"settings": {"maxmemory": "1mb"}}},
        wanted={"maxmemory": "2097152"},
        seen={"*": {"maxmemory": "1048576"}},
    )


def written(folder: Path, found: Plan | None = None, operator: str = "ada@control") -> tuple[Path, ApprovedPlan]:
    folder.chmod(0o700)
    found = found or change()
    path, approved = folder / "change.plan", made_now(found, folder / "cluster.yaml", operator)
    write_plan(approved, path, sheet_text(found, approved, str(path)), folder / "change.plan.md")
    return path, approved


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path, approved = written(tmp_path)
    assert read_plan(path) == approved
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = json.loads(path.read_bytes())
    assert list(content)[:4] == ["format", "slotwright", "kind", "name"]
    assert (content["format"], content["slotwright"], content["kind"]) == (1, __version__, "plan")
    assert content["topology_path"] == str(tmp_path / "cluster.yaml")
    assert content["stages"][0][0]["step"] == "set"
    assert "@" in content["made_by"]
    assert content["digest"] == change().digest


def test_a_plan_is_known_by_its_content(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    assert is_plan_file(path)
    topology = tmp_path / "other.plan"
    for text in ('{"name": "cache"}', "name: cache\n", "", '{"format": 1, "slotwright": "0.1.0", "blueprint": {}}'):
        topology.write_text(text)
        assert not is_plan_file(topology), text
    topology.write_bytes(json.dumps({"format": 77, "slotwright": "9.0", "kind": "plan"}).encode())
    assert is_plan_file(topology), "of whatever format"
    assert not is_plan_file(tmp_path)
    assert not is_plan_file(tmp_path / "gone")


def test_a_path_that_is_no_text_is_refused_in_words() -> None:
    with pytest.raises(InputError) as caught:
        plan_text(to_be_approved(change(), "/a\udcff.yaml", "now", "me@here"))
    assert (caught.value.code, caught.value.where) == ("path-not-text", "'/a\\udcff.yaml'")


def test_a_setting_that_is_no_text_can_be_written() -> None:
    found = plan(seen={"h1:7001": {"dir": "/a\udcff"}})
    assert rb"/a\\udcff" in plan_text(to_be_approved(found, "/c.yaml", "now", "me@here"))


def refusal(path: Path) -> SlotwrightError:
    with pytest.raises(SlotwrightError) as caught:
        read_plan(path)
    return caught.value


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    content = json.loads(path.read_bytes()) | {"format": 9, "slotwright": "7.7"}
    path.write_text(json.dumps(content))
    error = refusal(path)
    assert (error.code, error.exit_code) == ("format-newer", ExitCode.REFUSED)
    assert "slotwright 7.7 in format 9" in error.what
    with pytest.raises(RefusedError, match="format 9"):
        demand_place(path, tmp_path / "new.md", "demo")


@pytest.mark.parametrize("cut", [100, 900])
def test_half_a_plan_is_no_plan(tmp_path: Path, cut: int) -> None:
    path, _ = written(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    assert is_plan_file(path)
    assert (refusal(path).code, refusal(path).exit_code) == ("plan-unreadable", ExitCode.USAGE)


def test_an_edited_fact_is_noticed(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    path.write_text(path.read_text().replace('"value": "1048576"', '"value": "1048577"', 1))
    assert refusal(path).code == "plan-unreadable"


def test_an_edited_step_is_another_plan(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    path.write_text(path.read_text().replace('"new": "2mb"', '"new": "3mb"', 1))
    with pytest.raises(RefusedError) as caught:
        refuse_other(read_plan(path), change(), lambda event: None)
    first, second = "step set h1:7001: approved -> not planned", "step set h1:7001: not approved -> planned"
    assert (caught.value.code, caught.value.seen) == ("stale-plan", f"{first}; {second}")


def test_a_plan_that_others_can_write_is_not_believed(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    path.chmod(0o666)
    assert refusal(path).code == "folder-unsafe"


def test_only_a_plan_and_a_sheet_of_the_same_cluster_are_written_over(tmp_path: Path) -> None:
    path, approved = written(tmp_path)
    sheet = tmp_path / "change.plan.md"
    demand_place(path, sheet, approved.name)
    for name, first in (("other", path), ("demo2", path)):
        with pytest.raises(RefusedError) as caught:
            demand_place(path, sheet, name)
        assert (caught.value.code, caught.value.where) == ("file-exists", str(first))
    notes = tmp_path / "notes.md"
    notes.write_text("# mine\n")
    for taken, free in ((notes, tmp_path / "a"), (tmp_path / "b", notes)):
        with pytest.raises(RefusedError, match="exists already"):
            demand_place(taken, free, approved.name)
    assert notes.read_text() == "# mine\n"


def test_a_place_that_can_be_no_file(tmp_path: Path) -> None:
    for path, sheet in ((tmp_path / "no" / "x", tmp_path / "y"), (tmp_path, tmp_path / "y")):
        with pytest.raises(InputError) as caught:
            demand_place(path, sheet, "demo")
        assert caught.value.code == "no-folder"
    with pytest.raises(InputError, match="one file"):
        demand_place(tmp_path / "x", tmp_path / "x", "demo")


def test_no_secret_is_in_the_file_nor_in_the_sheet(tmp_path: Path) -> None:
    found = plan(wanted={"masterauth": "hunter2"}, seen={"*": {"masterauth": "hunter1"}})
    path, _ = written(tmp_path, found)
    assert found.steps
    both = path.read_text() + (tmp_path / "change.plan.md").read_text()
    assert "hunter" not in both
    assert "***" in path.read_text()


# Held against a later look.


def test_a_plan_that_still_holds_is_let_through_and_one_that_is_done_too() -> None:
    approved = to_be_approved(change(), "/c.yaml", "now", "me@here")
    refuse_other(approved, change(), lambda event: None)
    refuse_other(approved, plan(), lambda event: None)


def test_a_stale_plan_is_refused_and_the_fact_named() -> None:
    approved = to_be_approved(change(), "/c.yaml", "now", "me@here")
    with pytest.raises(RefusedError) as caught:
        refuse_other(approved, plan(nodes={"h1:7001": "stopped"}), lambda event: None)
    error = caught.value
    assert (error.code, error.exit_code, error.left) == ("stale-plan", ExitCode.REFUSED, "nothing was changed")
    assert "h1:7001 process: pid 7001" in error.seen
    assert error.hint == "slotwright plan /c.yaml -o NEW.plan makes a new plan"


def test_what_changes_while_a_plan_is_read_is_named() -> None:
    refuse_stale(change(), change())
    with pytest.raises(RefusedError, match="while the plan was being read") as caught:
        refuse_stale(plan(), plan(seen={"h1:7001": {"appendonly": "no"}}))
    assert (caught.value.code, caught.value.seen) == ("stale-plan", "h1:7001 setting appendonly: yes -> no")


def test_the_text_is_the_same_each_time() -> None:
    approved = to_be_approved(change(), "/c.yaml", "now", "me@here")
    assert plan_text(approved) == plan_text(approved)


def test_no_secret_of_a_module_is_in_the_file_nor_in_the_sheet_nor_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = {"search-oss-global-password": "hunter2", "ldap.search_bind_passwd": "hunter3"}
    file = {"settings": {**secrets, "loadmodule": "/opt/rs.so OSS_GLOBAL_PASSWORD hunter4"}}
    found = plan(file=file, record={"file": file}, wanted=secrets, seen={"*": dict.fromkeys(secrets, "hunter1")})
    path, approved = written(tmp_path, found)
    show_plan(found)
    everything = path.read_text() + (tmp_path / "change.plan.md").read_text() + capsys.readouterr().out
    assert "hunter" not in everything and "hunter" not in repr(found)
    assert "set       search-oss-global-password to the file's" in everything
    facts = {fact.name: fact.value for fact in approved.facts}
    assert facts["file setting loadmodule"] == "/opt/rs.so with arguments"
    assert facts["file setting search-oss-global-password"] == "***"
    assert facts["h1:7001 setting ldap.search_bind_passwd"] == "*** another one"
    met = {fact.name: fact.value for fact in plan(file=file, record={"file": file}, wanted=secrets).facts}
    assert met["h1:7001 setting ldap.search_bind_passwd"] == "*** as wanted"


@pytest.mark.parametrize(
    "given",
    [
        {"made_at": "2026-01-02\x1b[2J"},
        {"made_at": ""},
        {"made_at": "today"},
        {"made_at": "2026-01-02T03:04:05Z\n"},
        {"made_by": "me@\x1b]0;here\x07"},
        {"made_by": "me\nyou"},
    ],
)
def test_a_plan_whose_making_is_not_told_properly_is_no_plan(tmp_path: Path, given: dict[str, str]) -> None:
    path, _ = written(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | given))
    assert (refusal(path).code, refusal(path).exit_code) == ("plan-unreadable", ExitCode.USAGE)


def test_a_name_of_any_letters_can_make_a_plan(tmp_path: Path) -> None:
    path, approved = written(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"made_by": "Zoë 王@主机"}))
    assert read_plan(path) == replace(approved, made_by="Zoë 王@主机")


def test_who_makes_a_plan_is_written_printably(tmp_path: Path) -> None:
    path, approved = written(tmp_path, operator="me\x1b[2J@control")
    assert approved.made_by.startswith("me\\x1b[2J@")
    assert read_plan(path) == approved


def test_values_of_servers_are_shown_printably(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(plan(wanted={"maxmemory-policy": "noeviction"}, seen={"*": {"maxmemory-policy": "a\x1b[2J"}}))
    shown = capsys.readouterr().out
    assert "a\\x1b[2J -> noeviction" in shown and "\x1b[2J" not in shown
