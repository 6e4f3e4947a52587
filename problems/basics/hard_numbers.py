"""Training families of the harder tier over numbers; `family.py` explains the form."""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from problems.basics.family import COUNT, NATURAL, hard, whole


@hard(a=[2, 3, 4, 2], b=[3, 5, 6, 5])
def one_divides(n: NATURAL, *, a, b):
    """returns how many of the numbers from 1 to `n` are divisible by {a} but not by {b}, plus how
    many of them are divisible by {b} but not by {a}"""
    count = 0
    for i in range(1, n + 1):
        first = i % a == 0
        second = i % b == 0
        if first and not second or second and not first:
            count += 1
    return count


@hard(k=[2, 3, 5])
def near_divisors(n: NATURAL, *, k):
    """returns the list of the numbers d from 1 to `n` for which the remainder of `n` divided by d
    is less than {k} and d is odd"""
    result = []
    for d in range(1, n + 1):
        rest = n % d
        if rest < k and d % 2 == 1:
            result.append(d)
    return result


@hard(k=[1, 2, 3])
def divisor_score(n: NATURAL, *, k):
    """goes through the numbers d from 1 to `n` with a score that is 0 at first: if `n` is divisible
    by d and d is odd, d is added to the score; if `n` is divisible by d and d is even, {k} is
    subtracted from it; it returns the score"""
    score = 0
    for d in range(1, n + 1):
        rest = n % d
        if rest == 0 and d % 2 == 1:
            score += d
        elif rest == 0:
            score -= k
    return score


@hard(k=[10, 12, 15])
def sums_modulo(n: COUNT, *, k):
    """returns a list of `n` + 2 numbers: it begins with 1 and 2, and each further number is the sum
    of the two numbers before it, but when that sum is greater than {k}, {k} is subtracted from
    it"""
    result = [1, 2]
    for i in range(n):
        following = result[-1] + result[-2]
        if following > k:
            following -= k
        result.append(following)
    return result


@hard(first=[3, 4, 5], price=[10, 8, 6], cheap=[7, 5, 4])
def tier_price(n: whole(0, 20, 0), *, first, price, cheap):
    """goes through the numbers i from 1 to `n` with a price that is 0 at first: if i is at most
    {first}, {price} is added to the price, and otherwise {cheap} is added; it returns the price"""
    total = 0
    for i in range(1, n + 1):
        cost = cheap
        if i <= first:
            cost = price
        total += cost
    return total


@hard(k=[1, 2, 3])
def factor_pairs(n: NATURAL, *, k):
    """returns the list of lists [a, b] of whole numbers with a * b equal to `n`, a at least {k} and
    a at most b, with a ascending; an empty list if there are none or `n` is 0"""
    result = []
    for a in range(k, n + 1):
        b = n // a
        if n % a == 0 and a <= b:
            result.append([a, b])
    return result


@hard(edges=lambda start, loss: [[20]], start=[10, 12, 9], loss=[3, 4, 2])
def battery_left(hours: COUNT, *, start, loss):
    """goes through the numbers i from 1 to `hours` with a charge that is {start} at first: if i is
    even, 1 is added to the charge, and if i is odd, {loss} is subtracted from it; it returns the
    charge, or 0 if the charge is less than 0"""
    charge = start
    for i in range(1, hours + 1):
        if i % 2 == 0:
            charge += 1
        else:
            charge -= loss
    if charge < 0:
        charge = 0
    return charge


@hard(k=[3, 5, 7])
def halve_or_subtract(n: NATURAL, *, k):
    """repeats the following while the number `n` is greater than 0, with a count that is 0 at
    first: if `n` is even, `n` is halved (with //), and if it is odd, 1 is added to the count and
    {k} is subtracted from `n`; it returns the count"""
    count = 0
    while n > 0:
        odd = n % 2 == 1
        if odd:
            count += 1
            n -= k
        else:
            n //= 2
    return count
