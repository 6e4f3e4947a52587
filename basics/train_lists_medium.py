"""Training families over lists of numbers that take two ideas or more; `family.py` explains the
form."""
# ruff: noqa: B007 - a loop variable is one more value to trace, used or not

from basics.family import INTS, SMALL_INTS, SOME_INTS, hard, medium


@medium(k=[3, 5, 6, 8, 10, 15], edges=lambda k: [[[k - 2, k]]])
def largest_below(nums: INTS, *, k):
    """returns the largest number in the list `nums` that is less than {k}, or -100 if there is
    none"""
    best = -100
    for x in nums:
        if x < k and x > best:
            best = x
    return best


@medium(k=[2, 3, 4])
def rotate_left(nums: SOME_INTS, *, k):
    """returns the list `nums` after moving its first number to the end, {k} times over; the list
    is never empty"""
    result = list(nums)
    for step in range(k):
        first = result.pop(0)
        result.append(first)
    return result


@medium(k=[1, 2, 3, 5, 10])
def running_sum(nums: INTS, *, k):
    """returns the list of the running totals of the list `nums`, when the total starts at {k}: the
    first number of the result is {k} plus the first number of `nums`"""
    result = []
    total = k
    for x in nums:
        total += x
        result.append(total)
    return result


@medium(k=[1, 2, 3, 5])
def count_rises(nums: INTS, *, k):
    """returns how many numbers in the list `nums` are at least {k} larger than the number right
    before them"""
    count = 0
    for i in range(1, len(nums)):
        if nums[i] - nums[i - 1] >= k:
            count += 1
    return count


@medium(k=[1, 2, 3, 5, 10])
def dot_plus(a: SMALL_INTS, b: SMALL_INTS, *, k):
    """returns {k} plus the sum of the products of the numbers at the same index in the lists `a`
    and `b`; numbers without a partner are left out"""
    total = k
    for i in range(min(len(a), len(b))):
        total += a[i] * b[i]
    return total


@medium(k=[2, 3, 4])
def top_numbers(nums: INTS, *, k):
    """returns the list of the {k} largest numbers of the list `nums`, the largest first; if there
    are fewer than {k} numbers, it returns all of them, the largest first"""
    ordered = sorted(nums, reverse=True)
    result = ordered[:k]
    return result


@medium(k=[0, 4, 5, 7, 10, 12], edges=lambda k: [[[k + 2, k - 2]], [[k - 3, k + 3]]])
def closest_to(nums: SOME_INTS, *, k):
    """returns the number in the list `nums` that is closest to {k}; if two are equally close, the
    one that comes first; the list is never empty"""
    best = nums[0]
    for x in nums:
        if abs(x - k) < abs(best - k):
            best = x
    return best


@medium(k=[0, 1, 3, 5, 7])
def sum_until(nums: INTS, *, k):
    """returns the sum of the numbers in the list `nums` that come before the first {k}; if {k} is
    not in the list, it returns the sum of all"""
    total = 0
    for x in nums:
        if x == k:
            break
        total += x
    return total


@medium(k=[1, 2, 3, 4, 5])
def bounds(nums: SOME_INTS, *, k):
    """returns a list of two numbers: the smallest number of the list `nums` minus {k}, and the
    largest plus {k}; the list is never empty"""
    low = min(nums) - k
    high = max(nums) + k
    return [low, high]


@medium(k=[2, 3, 4])
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


@medium(k=[2, 3, 4, 5])
def scale_evens(nums: INTS, *, k):
    """returns the list `nums` with each even number multiplied by {k}; odd numbers stay as they
    are"""
    result = []
    for x in nums:
        if x % 2 == 0:
            x = x * k
        result.append(x)
    return result


@medium(k=[1, 2, 3, 5])
def indices_above(nums: INTS, *, k):
    """returns the list of the indices at which the list `nums` holds a number greater than {k}"""
    result = []
    for i in range(len(nums)):
        if nums[i] > k:
            result.append(i)
    return result


@hard(k=[0, 1, 10])
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


@hard(k=[3, 4, 5, 6])
def count_pairs(nums: SMALL_INTS, *, k):
    """returns how many pairs of numbers at two different indices in the list `nums` have the sum
    {k}; each pair of indices counts once"""
    count = 0
    for i in range(len(nums)):
        for j in range(i + 1, len(nums)):
            if nums[i] + nums[j] == k:
                count += 1
    return count


@hard(k=[2, 3, 4])
def chunks(nums: INTS, *, k):
    """returns the list `nums` cut into lists of {k} numbers each; the last one may be shorter, and
    for an empty list the result is empty"""
    result = []
    for start in range(0, len(nums), k):
        piece = nums[start : start + k]
        result.append(piece)
    return result


@hard(k=[0, 1, 2, 3])
def longest_run(nums: SMALL_INTS, *, k):
    """returns the length of the longest stretch of neighbouring numbers in the list `nums` that
    are all greater than {k}; 0 if there is none"""
    best = 0
    run = 0
    for x in nums:
        if x > k:
            run += 1
            best = max(best, run)
        else:
            run = 0
    return best
