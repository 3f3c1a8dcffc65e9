"""Format numbers for readers."""

from __future__ import annotations

from tfinet_mm.utils.numbers import percent_number


def whole(value: float) -> str:
    """Return a count with separated thousands.

    Example:
        >>> whole(1234567)
        '1,234,567'
    """
    return f'{value:,.0f}'


def area(value: float, unit: str) -> str:
    """Return an area in pixels or hectares, without its unit.

    Example:
        >>> area(1234.0, 'px'), area(1234.5, 'ha'), area(12.345, 'ha'), area(0.001, 'ha')
        ('1,234', '1,234.5', '12.35', '<0.01')
    """
    if unit == 'px':
        return whole(value)
    if 0 < value < 0.005:
        return '<0.01'
    return f'{value:,.1f}' if abs(value) >= 1000 else f'{value:,.2f}'


def percent(value: float) -> str:
    r"""Return a percentage with its sign, after a narrow space on which no line breaks.

    Example:
        >>> percent(12.345), percent(0.345)
        ('12.3\u202f%', '0.34\u202f%')
    """
    return f'{percent_number(value)}\u202f%'


def plain(value: float) -> str:
    """Return a score in percent, without the sign, as evaluations print it."""
    return f'{value:.2f}'
