"""What lies in the wall: infarcts, their border, the no-reflow core, and scars that are not ischaemic.

Infarcts grow as a wavefront from the endocardium (Reimer and Jennings, Lab Invest 1979;40:633-644), so that the
largest piece mostly holds .96 or more of an infarct (measured on two public LGE cases); one in fourteen is patchy. A
minority of chronic scars is mid-wall or subepicardial (Mahrholdt et al., Eur Heart J 2005;26:1461-1474). At the border
scar and viable muscle mix (grey zone: Yan et al., Circulation 2006;114:32-39). No-reflow cores belong to acute infarcts
(Wu et al., Circulation 1998;97:765-772).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....noise import Stream
from ..attributes import HEALTHY, INFARCT, LV_CAVITY, MVO
from ..ventricle import Field, Lesion, Roughness, ScarCourse, draw_territory
from .chamber import Chamber, Thinning
from .plane import TURN, Plane


@dataclass(frozen=True)
class Scars:
    """A patient's scars. border: half-width of the grey zone in units of the distance from the lesion's core.
    islands: strength of viable islands inside. obstruction: distance below which the core is not perfused; 0: none."""

    courses: tuple[ScarCourse, ...]
    roughness: Roughness
    border: float
    islands: float
    obstruction: float

    @classmethod
    def draw(cls, stream: Stream, acute: bool) -> "Scars":
        courses = _draw_courses(stream, acute)
        patchy = stream.uniform() < 0.07
        roughness = Roughness.draw(stream, stream.uniform(0.4, 0.75) if patchy else stream.uniform(0.04, 0.2))
        border, islands = stream.uniform(0.05, 0.18), stream.uniform(0.0, 0.2)
        obstructed = stream.uniform() < (0.6 if acute else 0.03) and courses[0].lesion.depth > 0.65
        core = stream.uniform(0.4, 0.7) if acute else stream.uniform(0.3, 0.5)
        return cls(courses, roughness, border, islands, core if obstructed else 0.0)

    def draw_thinning(self, stream: Stream, acute: bool) -> Thinning:
        """Only old infarcts thin the wall; deep ones do so most."""
        main = self.courses[0]
        ischaemic = main.lesion.layer == 0
        share = stream.uniform(0.0, 0.4) * min(1.0, main.lesion.depth)
        return Thinning(0.0 if acute or not ischaemic else share, main.lesion.angle, 0.7 * main.lesion.half_width,
                        main.level, 0.7 * main.reach)


def _draw_courses(stream: Stream, acute: bool) -> tuple[ScarCourse, ...]:
    kind, angle = stream.uniform(), draw_territory(stream)
    half_width = float(np.deg2rad(stream.uniform(40.0, 100.0))) * (1.2 if acute else 1.0)
    depth = stream.uniform(0.5, 1.6) * (1.2 if acute else 1.0)
    layer, power = 0.0, stream.uniform(2.0, 5.0)
    if kind > 0.9 and not acute:  # not ischaemic: in the middle of the wall, or below the epicardium
        layer = 1.0 if kind > 0.95 else stream.uniform(0.45, 0.6)
        depth, half_width = stream.uniform(0.2, 0.32) * (1.6 if layer == 1.0 else 1.0), half_width * 0.8
    reach, twist = stream.uniform(0.45 if acute else 0.3, 0.75), stream.uniform(-0.5, 0.5)
    courses = [ScarCourse(Lesion(angle, half_width, depth, layer, power), stream.uniform(0.1, 0.75), reach, twist)]
    if kind < 0.12:  # a second territory
        other = Lesion(angle + stream.uniform(1.2, 3.0), half_width * stream.uniform(0.3, 0.7),
                       depth * stream.uniform(0.5, 1.0), 0.0, power)
        courses.append(ScarCourse(other, stream.uniform(0.1, 0.8), reach * stream.uniform(0.5, 1.0), twist))
    return tuple(courses)


def wall_radius(chamber: Chamber, plane: Plane) -> Field:
    """(N, N) wall radius: negative in the cavity, 0 at the endocardium, 1 at the epicardium."""
    inner, wall = chamber.endocardium(plane.z), chamber.wall(plane.z)
    return np.asarray((plane.rho - plane.around(inner)) / plane.around(wall))


def scar_distance(scars: Scars, plane: Plane, radius: Field) -> Field:
    """(N, N) distance from the core of the nearest lesion; infinite outside the wall."""
    distance = np.full(radius.shape, np.inf)
    wall = (radius >= 0) & (radius < 1)
    theta, inside = TURN[plane.angle[wall]], radius[wall]
    lesions = [lesion for lesion in (course.at(plane.z) for course in scars.courses) if lesion]
    if lesions:
        rough = 1.0 + scars.roughness(theta, inside)
        distance[wall] = np.min([lesion.distance(theta, inside) for lesion in lesions], axis=0) * rough
    return distance


def true_labels(scars: Scars, radius: Field, distance: Field) -> NDArray[np.uint8]:
    """The label map without any reader's error."""
    wall = (radius >= 0) & (radius < 1)
    labels = np.zeros(radius.shape, dtype=np.uint8)
    labels[radius < 0] = LV_CAVITY
    labels[wall] = HEALTHY
    labels[wall & (distance < 1)] = INFARCT
    # The core does not reach the endocardium, which is supplied by diffusion from the cavity.
    labels[wall & (distance < scars.obstruction) & (radius > 0.12)] = MVO
    return labels


def viable_share(scars: Scars, distance: Field, fine: Field) -> Field:
    """(N, N) share of viable muscle: .5 at the border of a scar, which its label ends at, and islands inside."""
    viable = np.ones(distance.shape)
    near = distance < 1 + scars.border
    share = np.clip(0.5 + (distance[near] - 1) / (2 * scars.border), 0.0, 1.0)
    island = scars.islands * np.clip(fine[near] + 0.3, 0.0, 1.5)
    viable[near] = np.where(distance[near] < 1, np.minimum(share + island, 0.75), share)
    return viable
