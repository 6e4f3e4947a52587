"""Held-out families of the harder tier over numbers and lists; `family.py` explains the form.

None of them is the task of a training family of either tier; tests compare what programs do.
"""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from problems.basics.family import (
    BITS,
    LONG_INTS,
    NATURAL,
    hard,
    many,
)

FIVE = many(lambda rng, constants: rng.randint(1, 4), 5, 5)
FIVE_OR_MORE = many(lambda rng, constants: rng.randint(-5, 12), 5, 8)


@hard(k=[2, 3, 4])
def odd_sum_down(n: NATURAL, *, k):
    """repeats the following while the number `n` is greater than 0, with a total that is 0 at
    first: `n` is added to the total if it is odd, and then {k} is subtracted from `n`; it returns
    the total"""
    total = 0
    steps = 0
    while n > 0:
        if n % 2 == 1:
            total += n
        n -= k
        steps += 1
    return total


@hard(k=[2, 3, 4])
def best_window(nums: FIVE_OR_MORE, *, k):
    """returns the largest sum of {k} consecutive numbers of the list `nums`, which has at least {k}
    numbers"""
    best = 0
    for start in range(len(nums) - k + 1):
        total = 0
        for i in range(start, start + k):
            total += nums[i]
        if start == 0 or total > best:
            best = total
    return best


@hard(k=[0, 1, 2])
def places_of_ones(bits: BITS, *, k):
    """returns the list of the indices i from 1 on at which bits[i] is 1 and bits[i - 1] is 0 in the
    list `bits`, each plus {k}"""
    result = []
    for i in range(1, len(bits)):
        before = bits[i - 1]
        if bits[i] == 1 and before == 0:
            result.append(i + k)
    return result


@hard(low=[1, 2, 3], high=[7, 8, 9])
def clip_and_double(nums: LONG_INTS, *, low, high):
    """goes through the list `nums` and builds a new list: for a number less than {low}, the length
    that the new list has so far is appended, for a number greater than {high}, {high} is appended,
    and any other number is multiplied by 2 and appended; it returns the new list"""
    result = []
    for x in nums:
        size = len(result)
        if x < low:
            result.append(size)
        elif x > high:
            result.append(high)
        else:
            result.append(x * 2)
    return result


@hard(k=[2, 3, 5])
def rounds_won(first: FIVE, second: FIVE, *, k):
    """compares first[i] with second[i] for each index i of the lists `first` and `second`, which
    have the same length, with a score that is 0 at first: where first[i] is greater, 1 is added to
    the score, and where both are equal, {k} is added; it returns the score"""
    score = 0
    for i in range(len(first)):
        a = first[i]
        b = second[i]
        if a > b:
            score += 1
        elif a == b:
            score += k
    return score


@hard(k=[2, 4, 6])
def sum_and_count(nums: LONG_INTS, *, k):
    """returns a list of two numbers: the sum of the odd numbers of the list `nums`, and how many
    even numbers of `nums` are greater than {k}"""
    total = 0
    count = 0
    for x in nums:
        if x % 2 == 1:
            total += x
        elif x > k:
            count += 1
    return [total, count]


@hard(k=[2, 4, 5, 7])
def evens_minus_large_odds(nums: LONG_INTS, *, k):
    """goes through the list `nums` with a total that is 0 at first: an even number is added to the
    total, an odd number that is greater than {k} is subtracted from it, and any other number
    doubles it; it returns the total"""
    total = 0
    doubled = 0
    for x in nums:
        if x % 2 == 0:
            total += x
        elif x > k:
            total -= x
        else:
            total *= 2
            doubled += 1
    return total
