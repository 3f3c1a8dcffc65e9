"""Format shares in percent, one way for the terminal, tables, texts and pages."""

from __future__ import annotations


def percent_number(value: float, sign: str = '') -> str:
    """Return a percentage as text without its unit: one decimal, and two below 1 %.

    Args:
        value: Percentage.
        sign: ``'+'`` to mark positive numbers too.

    Example:
        >>> [percent_number(value) for value in (12.345, 3.74, 0.345, 0.0, 0.004, -3.74)]
        ['12.3', '3.7', '0.34', '0', '<0.01', '-3.7']
        >>> percent_number(60.0, sign='+')
        '+60.0'
    """
    size = abs(value)
    if size == 0:
        return '0'
    if size < 0.01:
        return '<0.01' if value > 0 else '>-0.01'
    # 0.996 is shown as 1.0, as 1.004 is.
    digits = 1 if round(size, 2) >= 1 else 2
    return f'{value:{sign}.{digits}f}'


def percent(value: float) -> str:
    """Return a percentage with its unit.

    Example:
        >>> percent(12.345), percent(0.345)
        ('12.3 %', '0.34 %')
    """
    return f'{percent_number(value)} %'
