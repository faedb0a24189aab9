"""Every recipe parses, and every command of the README runs (in small)."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from hornbook.cli import _run
from hornbook.pipeline.recipe import Recipe, load_recipe, to_toml
from tests.cli.tiny import TINY

ROOT = Path(__file__).parents[1]
DATA = ROOT / "../shared/data"
MODEL_VERBS = ("generate", "chat", "classify", "evaluate", "inspect")
SMALL = [setting for setting in TINY if not setting.startswith(("tokenizer.", "model."))]
SMALL += ["model.preset=nano", "model.context_length=128", "model.tied_embeddings=true"]


def commands() -> list[str]:
    """The lines of the README's shell blocks that call hornbook."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    joined = "".join(blocks).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith("hornbook ")]


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda p: p.stem)
def test_every_recipe_parses(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.directory == Path("runs") / path.stem


def test_a_recipe_written_out_is_the_same_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    for recipe in (
        Recipe(),
        load_recipe(None, ["training.steps=7", "instruction.training.lr=1e-4"]),
    ):
        path.write_text(to_toml(recipe), encoding="utf-8")
        again = load_recipe(path, ["run.directory=runs/quickstart"])
        assert again.model_dump(exclude={"run"}) == recipe.model_dump(exclude={"run"})


@pytest.mark.skipif(not DATA.exists(), reason="needs the data sets that the README speaks of")
def test_every_command_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(DATA.resolve())
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    assert len(commands()) > 5
    for command in commands():
        words = shlex.split(command)[1:]
        if words[0] in MODEL_VERBS:
            assert _run(words) == 0, capfd.readouterr().err
        else:
            options = [word for word in words if word.startswith("--")]
            assert _run([*words, *SMALL] if "--settings" not in options else words) == 0, (
                command,
                capfd.readouterr().err,
            )
