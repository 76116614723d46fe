"""Random streams, against an independent Philox4x64-10 and golden vectors."""

import math

import numpy as np
import pytest
from scipy import stats

from cldm_runtime.noise import Purpose, Stream, normals

WORD = 2**64


def philox(key, counter):
    """Philox4x64-10 as published: Salmon et al., SC 2011, with the constants of Random123."""
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (second // WORD) ^ c1 ^ k0, second % WORD, (first // WORD) ^ c3 ^ k1, first % WORD
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % WORD, (k1 + 0xBB67AE8584CAA73B) % WORD
    return [c0, c1, c2, c3]


def expected_words(seed, index, purpose, step, blocks):
    return [word for block in range(1, blocks + 1) for word in philox((seed, index), (block, 0, step, purpose))]


def test_the_independent_philox_gives_the_published_vectors():
    """From Random123's kat_vectors: philox4x64 10."""
    assert philox((0, 0), (0, 0, 0, 0))[0] == 0x16554D9ECA36314C
    ones = WORD - 1
    assert philox((ones, ones), (ones,) * 4)[0] == 0x87B092C3013FE90B


@pytest.mark.parametrize(("seed", "index", "purpose", "step"), [
    (0, 0, Purpose.INITIAL, 0), (7, 123456, Purpose.STEP, 49), (WORD - 1, 2**40, Purpose.TEXTURE, 3)])
def test_words_are_philox_with_the_stated_key_and_counter(seed, index, purpose, step):
    words = Stream(seed, index, purpose, step).raw(12).tolist()
    assert words == expected_words(seed, index, int(purpose), step, 3)


def test_golden_normals():
    """These bits are part of the format: they may never change."""
    found = Stream(1, 2, Purpose.INITIAL).normals((4,))
    assert found.astype("<f4").tobytes().hex() == "9a0d0e3e0876c7bed0ec913def4984bf"


def test_normals_are_sums_of_table_entries():
    from cldm_runtime.noise import _normal_table

    word = int(Stream(5, 6, Purpose.STEP).raw(1)[0])
    total = sum(int(_normal_table()[(word >> shift) & 0xFFF]) for shift in (0, 12, 24, 36, 48))
    assert Stream(5, 6, Purpose.STEP).normals((1,))[0] == np.float32(total * 2.0**-24 / math.sqrt(5))


def test_few_normals_and_many_are_the_same():
    many = Stream(5, 6, Purpose.STEP).normals((64,))
    for count in (1, 8, 9):
        np.testing.assert_array_equal(Stream(5, 6, Purpose.STEP).normals((count,)), many[:count])


def test_a_uniform_is_the_first_of_many():
    assert Stream(5, 6, Purpose.STEP).uniform() == Stream(5, 6, Purpose.STEP).uniforms(3)[0]


def test_normals_have_the_moments_and_the_shape_of_a_normal():
    sample = Stream(3, 0, Purpose.INITIAL).normals((400_000,)).astype(float)
    assert sample.mean() == pytest.approx(0, abs=0.008)
    assert sample.var() == pytest.approx(1, abs=0.008)
    assert stats.skew(sample) == pytest.approx(0, abs=0.01)
    assert stats.kurtosis(sample) == pytest.approx(0, abs=0.02)
    assert stats.kstest(sample[:100_000], "norm").statistic < 0.006


def test_uniforms_stay_in_0_to_1_and_are_even():
    sample = Stream(3, 0, Purpose.CONDITION).uniforms(100_000)
    assert 0 <= sample.min() < sample.max() < 1
    assert sample.mean() == pytest.approx(0.5, abs=0.005)


def test_a_sample_does_not_depend_on_its_batch():
    whole = normals(9, np.arange(5), Purpose.INITIAL, (2, 3))
    assert whole.shape == (5, 2, 3)
    np.testing.assert_array_equal(whole[[3, 1]], normals(9, np.array([3, 1]), Purpose.INITIAL, (2, 3)))


def test_every_part_of_the_key_changes_the_stream():
    streams = [Stream(0, 0, Purpose.INITIAL), Stream(1, 0, Purpose.INITIAL), Stream(0, 1, Purpose.INITIAL),
               Stream(0, 0, Purpose.STEP), Stream(0, 0, Purpose.STEP, 1)]
    drawn = np.stack([stream.normals((1000,)) for stream in streams])
    correlation = np.corrcoef(drawn) - np.eye(len(streams))
    assert np.abs(correlation).max() < 0.12


def test_a_stream_is_consumed_from_the_front():
    one, other = Stream(4, 4, Purpose.ANATOMY), Stream(4, 4, Purpose.ANATOMY)
    parts = np.concatenate([one.uniforms(3), one.uniforms(6)])
    np.testing.assert_array_equal(parts, other.uniforms(9))


def test_choice_follows_the_weights():
    stream = Stream(0, 0, Purpose.CONDITION)
    drawn = [stream.choice(np.array([1.0, 0.0, 3.0])) for _ in range(2000)]
    assert set(drawn) == {0, 2}
    assert np.mean(np.array(drawn) == 2) == pytest.approx(0.75, abs=0.04)
