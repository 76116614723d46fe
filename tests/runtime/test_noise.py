"""Random streams, against an independent Philox4x64-10, the normal distribution of the standard library, and golden
vectors. tests/contract/noise_across_numpy.sh runs this file with several versions of numpy."""

import math
import statistics
import struct
from functools import cache

import numpy as np
import pytest
from scipy import stats

from cldm_runtime.noise import Purpose, Stream, _normal_table, normals

WORD = 2**64
# Random123's kat_vectors, philox4x64 10: key, counter -> words. The last holds the digits of pi.
KNOWN_ANSWERS = [
    ((0,) * 2, (0,) * 4, (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B)),
    ((WORD - 1,) * 2, (WORD - 1,) * 4,
     (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0)),
    ((0x452821E638D01377, 0xBE5466CF34E90C6C),
     (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
     (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6)),
]
# Seed, index, purpose and step of streams, and their first ten normals as bytes, written by `expected_normals`, which
# knows nothing of the code under test.
GOLDEN = {
    (0, 0, Purpose.INITIAL, 0):
        "ac25303ec321b33efb4c353f4f8e5cbf08935cbf881e9cbf20a2d53e9a2e623f4611cfbf9256cabc",
    (1, 2, Purpose.INITIAL, 0):
        "9a0d0e3e0876c7bed0ec913def4984bf7e42493f581f11bfd1a8e5be9b332a40584d683ff44d34bf",
    (7, 123456, Purpose.STEP, 49):
        "001098bf7ccc233f47685b3ff6e1b8be734d94bf2f5be63fb9541dbf6efc7a3edf9c55bfdfb7bcbe",
    (WORD - 1, 2**40, Purpose.TEXTURE, 3):
        "b9dbec3e8e307fbf5efec1be80faa73f0bd017bfc6b9143fce026cbf2514d63e4595143f3c375b3f",
}


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


@cache
def quantiles():
    """4096 quantiles of the normal distribution at the middles of equal shares; unit variance, in units of 2**-24."""
    middles = [statistics.NormalDist().inv_cdf((i + 0.5) / 4096) for i in range(4096)]
    deviation = math.sqrt(math.fsum(quantile**2 for quantile in middles) / 4096)
    return [round(quantile / deviation * 2**24) for quantile in middles]


def expected_normals(words):
    """Little-endian float32 of the sums of five quantiles, which the lowest five fields of 12 bits of a word choose."""
    sums = [sum(quantiles()[word >> shift & 0xFFF] for shift in range(0, 60, 12)) for word in words]
    return b"".join(struct.pack("<f", total * 2.0**-24 / math.sqrt(5)) for total in sums)


@pytest.mark.parametrize(("key", "counter", "words"), KNOWN_ANSWERS)
def test_numpy_and_the_independent_philox_give_the_known_answers(key, counter, words):
    """numpy counts up before it computes, so that it is set to the counter before."""
    assert philox(key, counter) == list(words)
    before = (sum(word << 64 * i for i, word in enumerate(counter)) - 1) % 2**256
    counter_before = np.array([before >> 64 * i & WORD - 1 for i in range(4)], np.uint64)
    assert np.random.Philox(key=np.array(key, np.uint64), counter=counter_before).random_raw(4).tolist() == list(words)


@pytest.mark.parametrize(("seed", "index", "purpose", "step"), list(GOLDEN))
def test_words_are_philox_with_the_stated_key_and_counter(seed, index, purpose, step):
    words = Stream(seed, index, purpose, step).raw(12).tolist()
    assert words == expected_words(seed, index, int(purpose), step, 3)


def test_the_table_holds_the_quantiles_of_the_normal_distribution():
    assert _normal_table().tolist() == quantiles()


@pytest.mark.parametrize(("stream", "golden"), list(GOLDEN.items()))
def test_golden_normals(stream, golden):
    """These bits are part of the format: they may never change."""
    assert expected_normals(expected_words(*stream, 3))[:40].hex() == golden
    for count in (1, 8, 9, 10):  # few are computed in Python, many in numpy
        assert Stream(*stream).normals((count,)).astype("<f4").tobytes().hex() == golden[:8 * count]


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
