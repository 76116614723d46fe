"""Judges that distinguish synthetic from reference images, each by something else. None of them may serve as a critic
in training: `training` and `stages` import nothing of this folder (tests/contract/test_judges.py)."""
