"""Light curves of many stars: selected, put together, matched and joined by id."""

import numpy as np
import pytest
from light_curve_forms import assert_same, words

from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.joining import concatenate, join, match
from multistar.modalities.light_curve.points import from_points


class TestManyStars:
    def stars(self) -> LightCurves:
        """Twelve curves of five ids, one of them missing and one curve empty."""
        rng = np.random.default_rng(4)
        length = rng.integers(0, 9, 12) * (np.arange(12) != 3)
        first = np.concatenate([[0], np.cumsum(length)])
        n = first[-1]
        ids = rng.choice([10, 20, 30, 40, -1], 12)
        return from_points(
            ids,
            rng.permutation(n),
            rng.uniform(1, 2, n),
            band=rng.choice(["a", "b"], n),
            unit="flux",
            first=first,
        )

    @pytest.mark.parametrize(
        "rows", [[3], [], [5, 5, 0], slice(2, 9, 3), np.arange(12) % 2 == 0, [-1]]
    )
    def test_select_is_the_single_stars(self, rows):
        curves = self.stars()
        chosen = curves.select(rows)
        which = np.arange(12)[rows]
        assert chosen.source_id.tolist() == curves.source_id[which].tolist()
        for place, i in enumerate(which):
            assert_same(chosen.of(place), curves.of(i))
            np.testing.assert_array_equal(
                chosen.of(place).time, curves.time[curves.first[i] : curves.first[i + 1]]
            )

    def test_parts_put_together_are_the_whole(self):
        curves = self.stars()
        assert_same(
            concatenate(
                [
                    curves.select(slice(0, 5)),
                    curves.select(slice(5, 5)),
                    curves.select(slice(5, 12)),
                ]
            ),
            curves,
        )
        assert concatenate([curves]) is curves
        with pytest.raises(ValueError, match="no light curves"):
            concatenate([])

    def test_bands_and_reasons_are_united(self):
        one = from_points([1, 1], [0, np.nan], [3, 3], band=["g", "rp"], unit="flux")
        two = from_points([1, 2], [0, 1], [3, 4], band=["kepler", "g"], unit="flux")
        both = concatenate([one, two])
        assert set(both.bands) >= {"g", "kepler"}
        assert [both.bands[i] for i in both.band] == ["g", "kepler", "g"]
        assert both.dropped["not_finite"].tolist() == [1, 0, 0]
        assert words(both) == ["duplicate_id", "duplicate_id", "ok"]

    def test_match_is_a_search_for_each_id(self):
        curves = self.stars()
        wanted = np.array([40, 99, 10, -1, 40, 20])
        found = match(curves, wanted)
        assert found.source_id.tolist() == wanted.tolist()
        for i, star in enumerate(wanted):
            rows = np.flatnonzero((curves.source_id == star) & (star >= 0))
            time = np.concatenate([curves.of(r).time for r in rows] or [[]])
            flux = np.concatenate([curves.of(r).flux for r in rows] or [[]])
            np.testing.assert_array_equal(found.of(i).time, np.sort(time))
            np.testing.assert_array_equal(found.of(i).flux, flux[np.argsort(time)])
            empty = "no_data,bad_id" if star < 0 else "no_data"
            assert words(found.of(i)) == ["ok" if len(rows) else empty]

    def test_quarters_keep_their_own_medians_and_repeated_points_go(self):
        one, two = (
            from_points([7] * 3, t, f, unit="flux")
            for t, f in (([0, 1, 2], [1, 2, 3]), ([2, 3, 4], [50, 100, 200]))
        )
        both = match(concatenate([one, two]), [7])
        assert both.time.tolist() == [0, 1, 2, 3, 4]
        assert both.flux.tolist() == [-0.5, 0, 0.5, 0, 1]
        assert both.dropped["duplicate_time"].tolist() == [1]

    def test_join_gives_each_id_once(self):
        curves = self.stars()
        joined = join(curves)
        known = curves.source_id >= 0
        ids = list(dict.fromkeys(curves.source_id[known].tolist()))
        assert joined.source_id.tolist() == ids + [-1] * np.sum(~known)
        assert len(joined.time) == len(curves.time)
        assert_same(match(joined, ids), match(curves, ids))
        assert join(curves.of(0)).source_id.tolist() == [curves.source_id[0]]
