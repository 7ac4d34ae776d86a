"""The mutations stay applicable as the code changes."""

from __future__ import annotations

import pytest
from mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.title)
def test_the_text_that_a_mutation_replaces_stands_once_in_its_file(mutation: Mutation) -> None:
    whole = (ROOT / mutation.file).read_text()
    assert whole.count(mutation.before) == 1, mutation.before
    for part in mutation.tests.split():
        assert (ROOT / "tests" / part).exists(), part
    compile(whole.replace(mutation.before, mutation.after), mutation.file, "exec")
