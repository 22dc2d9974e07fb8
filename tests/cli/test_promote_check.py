"""`fieldcast promote-check`: its exit codes, its text and its JSON on a small simulated market."""

from __future__ import annotations

PLANTED = "SIM:PLANTED"


def test_exit_codes_text_and_json(run, home, experiment) -> None:
    how = ("--experiment", experiment, "--home", home)
    judged = run("promote-check", PLANTED, *how)
    assert judged.code == 4  # too few calls, and no leak
    assert f"{PLANTED} [SIMULATED]" in judged.out
    assert "CANNOT_JUDGE" in judged.out
    assert "no leak found" in " ".join(judged.out.split())
    looked = run("promote-check", PLANTED, *how, "--exit-zero", "--json")
    assert looked.code == 0
    assert looked.json["exit_code"] == 4
    assert [one["symbol"] for one in looked.json["symbols"]] == [PLANTED]
    assert "SIM:NONE" in run("promote-check", "SIM:NONE", *how).refused()
