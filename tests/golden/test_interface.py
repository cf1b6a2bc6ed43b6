"""Arm ids, and the options of each verb, are those of version 0.1.0."""

from golden import taking


def test_shipped_configs_and_studies_have_the_arms_that_they_had() -> None:
    assert taking.take_arm_ids() == taking.stored("arm_ids")


def test_every_verb_takes_the_options_that_it_took() -> None:
    then, now = taking.stored("options"), taking.take_options()
    assert list(taking.differences(then, now, rtol=0)) == []
