"""Training families over lists of numbers that take two ideas or more; `family.py` explains the
form."""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from problems.basics.family import INTS, SMALL_INTS, hard, medium


@medium(k=[1, 2])
def running_sum(nums: INTS, *, k):
    """returns the list of the running totals of the list `nums`, when the total starts at {k}: the
    first number of the result is {k} plus the first number of `nums`"""
    result = []
    total = k
    for x in nums:
        total += x
        result.append(total)
    return result


@medium(k=[2, 3])
def top_numbers(nums: INTS, *, k):
    """returns the list of the {k} largest numbers of the list `nums`, the largest first; if there
    are fewer than {k} numbers, it returns all of them, the largest first"""
    ordered = sorted(nums, reverse=True)
    result = ordered[:k]
    return result


@medium(k=[2, 3])
def first_distinct(nums: SMALL_INTS, *, k):
    """returns the list of the first {k} different numbers of the list `nums`, in the order in
    which they first occur; fewer if there are not so many"""
    result = []
    for x in nums:
        if x not in result and len(result) < k:
            result.append(x)
    return result


@medium(
    low=[0, 1, 2, 3, 5],
    high=[5, 8, 10, 7, 12],
    edges=lambda low, high: [[[low - 1, low, high, high + 1]]],
)
def count_between(nums: INTS, *, low, high):
    """returns how many numbers in the list `nums` are at least {low} and at most {high}"""
    count = 0
    for x in nums:
        if low <= x <= high:
            count += 1
    return count


@hard(k=[0, 1])
def most_frequent(nums: SMALL_INTS, *, k):
    """returns the number that occurs most often in the list `nums`; of several, the one that comes
    first; for an empty list it returns {k}"""
    best = k
    best_count = 0
    for x in nums:
        count = nums.count(x)
        if count > best_count:
            best = x
            best_count = count
    return best


@hard(k=[2, 3])
def chunks(nums: INTS, *, k):
    """returns the list `nums` cut into lists of {k} numbers each; the last one may be shorter, and
    for an empty list the result is empty"""
    result = []
    for start in range(0, len(nums), k):
        piece = nums[start : start + k]
        result.append(piece)
    return result
