"""Held-out families over numbers and lists of numbers (`heldout_text.py` has the others).

They are of the training families' kind and difficulty, but none of them is the same task.

One test compares the programs with names, constants and comparison signs left out, another what
they do: no program here is a training program in other words. These references also serve as the
programs of the held-out trace benchmark. `family.py` explains the form.
"""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from problems.basics.family import (
    COUNT,
    INTS,
    NATURAL,
    NUM,
    POSITIVE_INTS,
    SIDE,
    SMALL,
    SMALL_INTS,
    SOME_INTS,
    easy,
    hard,
    medium,
)


@easy(k=[1, 2, 4, 6, 8, 10])
def subtract_from(x: NUM, *, k):
    """returns {k} minus the number `x`"""
    start = k
    result = start - x
    return result


@easy(k=[2, 3, 4, 5, 7, 10])
def remainder_of(n: NATURAL, *, k):
    """returns the remainder of the number `n` divided by {k}"""
    divisor = k
    remainder = n % divisor
    return remainder


@easy(k=[0, 2, 4, 5, 8, 10])
def is_less(x: NUM, *, k):
    """returns True if the number `x` is less than {k}, and False otherwise"""
    limit = k
    answer = x < limit
    return answer


@easy(k=[2, 3, 4, 5])
def power_of(x: SMALL, *, k):
    """returns the number `x` to the power of {k}"""
    result = 1
    for step in range(k):
        result *= x
    return result


@easy(k=[2, 3, 4, 5, 6, 7])
def keep_divisible(nums: INTS, *, k):
    """returns the list of the numbers in the list `nums` that are divisible by {k}"""
    result = []
    for x in nums:
        if x % k == 0:
            result.append(x)
    return result


@easy(k=[0, 1, 3, 5, 7, 9])
def repeat_number(n: COUNT, *, k):
    """returns a list that holds the number {k} `n` times"""
    result = []
    for i in range(n):
        result.append(k)
    return result


@easy(k=[1, 2, 3, 4, 5, 6, 10])
def area_without(width: COUNT, height: COUNT, *, k):
    """returns the area of a rectangle of the sides `width` and `height`, minus {k}"""
    area = width * height
    result = area - k
    return result


@easy(low=[0, 1, 2, 3, 5, 10], high=[5, 8, 4, 12, 10, 20])
def in_range(x: NUM, *, low, high):
    """returns True if the number `x` is at least {low} and at most {high}, and False otherwise"""
    above = x >= low
    below = x <= high
    return above and below


@easy(k=[2, 3, 4, 5, 6, 7, 10])
def same_remainder(a: NATURAL, b: NATURAL, *, k):
    """returns True if the numbers `a` and `b` have the same remainder when divided by {k}, and
    False otherwise"""
    first = a % k
    second = b % k
    return first == second


@easy(k=[2, 3, 4, 5, 6, 7])
def sum_divisible(nums: INTS, *, k):
    """returns the sum of the numbers in the list `nums` that are divisible by {k}"""
    total = 0
    for x in nums:
        if x % k == 0:
            total += x
    return total


@easy(k=[1, 2, 3, 4, 5, 10])
def squares_plus(nums: SMALL_INTS, *, k):
    """returns a list of the squares of the numbers in the list `nums`, each plus {k}"""
    result = []
    for x in nums:
        square = x * x
        result.append(square + k)
    return result


@easy(k=[1, 2, 3, 5, 7, 10])
def reverse_and_raise(nums: INTS, *, k):
    """returns the list `nums` in reverse order, with {k} added to each number"""
    result = []
    for x in nums:
        result.insert(0, x + k)
    return result


@easy(k=[0, 3, 5, 7, 10])
def at_least(x: NUM, *, k):
    """returns the larger one of the number `x` and {k}"""
    low = k
    result = max(x, low)
    return result


@easy(k=[2, 3, 5, 10])
def range_list(n: COUNT, *, k):
    """returns the list of the numbers from 0 to `n` - 1, each multiplied by {k}"""
    result = []
    for i in range(n):
        result.append(i * k)
    return result


@easy(k=[2, 3, 4])
def every_nth(nums: INTS, *, k):
    """returns every number of the list `nums` whose index is divisible by {k}"""
    step = k
    result = nums[::step]
    return result


@easy(k=[2, 3])
def powers_of_all(nums: SMALL_INTS, *, k):
    """returns a list of the numbers in the list `nums`, each raised to the power of {k}"""
    result = []
    for x in nums:
        result.append(x**k)
    return result


@easy(k=[1, 2, 3, 5])
def largest_minus_smallest(nums: SOME_INTS, *, k):
    """returns the largest number minus the smallest number of the list `nums`, plus {k}; the list
    is never empty"""
    difference = max(nums) - min(nums)
    result = difference + k
    return result


@medium(k=[0, 2])
def balance(nums: INTS, *, k):
    """returns how many numbers in the list `nums` are greater than {k}, minus how many are less
    than {k}"""
    score = 0
    for x in nums:
        if x > k:
            score += 1
        elif x < k:
            score -= 1
    return score


@medium(k=[2, 3])
def sum_smallest(nums: INTS, *, k):
    """returns the sum of the {k} smallest numbers of the list `nums`, or of all if there are fewer
    than {k}; for an empty list it returns 0"""
    ordered = sorted(nums)
    total = 0
    for x in ordered[:k]:
        total += x
    return total


@medium(k=[3, 5])
def split_at(nums: INTS, *, k):
    """returns a list of two lists: the numbers of the list `nums` that are less than {k}, and the
    others, each in their order"""
    low = []
    high = []
    for x in nums:
        if x < k:
            low.append(x)
        else:
            high.append(x)
    return [low, high]


@medium(k=[1, 2])
def times_table(n: SIDE, m: SIDE, *, k):
    """returns a list of `n` lists of `m` numbers each, in which the number at index j of list i is
    i times j, plus {k}; i and j count from 0"""
    result = []
    for i in range(n):
        row = []
        for j in range(m):
            row.append(i * j + k)
        result.append(row)
    return result


@hard(k=[1, 2])
def has_gap_pair(nums: POSITIVE_INTS, *, k):
    """returns True if two numbers in the list `nums` differ by exactly {k}, and False otherwise"""
    found = False
    for a in nums:
        for b in nums:
            if a - b == k:
                found = True
    return found


@hard(k=[5, 8, 10, 15], edges=lambda k: [[[k, 1]], [[k]]])
def numbers_needed(nums: POSITIVE_INTS, *, k):
    """returns how many numbers from the start of the list `nums` are needed for their sum to be
    greater than {k}, or -1 if the sum of all is not greater than {k}"""
    total = 0
    needed = -1
    for i in range(len(nums)):
        total += nums[i]
        if total > k:
            needed = i + 1
            break
    return needed
