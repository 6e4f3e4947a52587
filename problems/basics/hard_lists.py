"""Training families of the harder tier over lists of numbers; `family.py` explains the form."""

from problems.basics.family import LONG_INTS, LONG_POSITIVES, REPEATS, SOME_LONG_INTS, hard


@hard(k=[0, 2, 4, 6])
def peaks_above(nums: LONG_INTS, *, k):
    """returns how many numbers of the list `nums` are greater than {k} and greater than the number
    before and the number after them; the first and the last number never count"""
    count = 0
    for i in range(1, len(nums) - 1):
        before = nums[i - 1]
        after = nums[i + 1]
        if nums[i] > k and nums[i] > before and nums[i] > after:
            count += 1
    return count


@hard(k=[0, 2, 3, 5])
def longest_run_above(nums: LONG_INTS, *, k):
    """goes through the list `nums` with a counter that is 0 at first: a number greater than {k}
    adds 1 to the counter, a number less than {k} sets it back to 0, and {k} itself changes nothing;
    it returns the largest value that the counter has had"""
    largest = 0
    counter = 0
    for x in nums:
        if x > k:
            counter += 1
        elif x < k:
            counter = 0
        if counter > largest:
            largest = counter
    return largest


@hard(k=[0, 1, 2, 3])
def keep_rising(nums: LONG_INTS, *, k):
    """builds a new list that begins with {k}: each number of the list `nums`, from left to right,
    is appended if it is greater than the last number of the new list; it returns the new list"""
    result = [k]
    for x in nums:
        last = result[-1]
        if x > last:
            result.append(x)
    return result


@hard(k=[0, 1, 2, 5])
def first_equal_neighbours(nums: REPEATS, *, k):
    """returns the first index i for which the numbers at i and i + 1 of the list `nums` are equal,
    plus {k}; -1 if there is no such index"""
    found = -1
    for i in range(len(nums) - 1):
        here = nums[i]
        following = nums[i + 1]
        if here == following:
            found = i + k
            break
    return found


@hard(k=[3, 4, 5])
def pairs_divisible(nums: LONG_POSITIVES, *, k):
    """returns the number of pairs of indices i < j for which the sum of the numbers at i and j of
    the list `nums` is divisible by {k} and the number at i is less than the number at j"""
    count = 0
    for i in range(len(nums)):
        for j in range(i + 1, len(nums)):
            total = nums[i] + nums[j]
            if total % k == 0 and nums[i] < nums[j]:
                count += 1
    return count


@hard(k=[0, 3, 4, 6])
def nearest_to(nums: SOME_LONG_INTS, *, k):
    """returns the number of the list `nums` with the smallest distance to {k}; of several, the
    first one; the list is never empty"""
    best = nums[0]
    for x in nums:
        distance = abs(x - k)
        least = abs(best - k)
        if distance < least:
            best = x
    return best


@hard(k=[1, 2, 3, 5])
def evens_then_odds(nums: LONG_INTS, *, k):
    """goes through the list `nums` and appends each even number to a list `evens` and each odd
    number that is greater than {k} to a list `odds`; it returns `evens` followed by the reverse of
    `odds`"""
    evens = []
    odds = []
    for x in nums:
        if x % 2 == 0:
            evens.append(x)
        elif x > k:
            odds.append(x)
    odds.reverse()
    return evens + odds


@hard(k=[1, 2, 3])
def position_score(nums: LONG_INTS, *, k):
    """goes through the indices i of the list `nums` with a score that is 0 at first: if i is even
    and the number at i is greater than {k}, i is added to the score; if i is odd and the number at
    i is negative, 1 is subtracted; it returns the score"""
    score = 0
    for i in range(len(nums)):
        x = nums[i]
        if i % 2 == 0 and x > k:
            score += i
        elif i % 2 == 1 and x < 0:
            score -= 1
    return score


@hard(edges=lambda k: [[[3, -2, 1, 4, 5]]], k=[2, 3, 4])
def change_by_place(nums: LONG_INTS, *, k):
    """returns a list in which each number of the list `nums` at an even index is multiplied by {k},
    and each number at an odd index is replaced by 0 if it is negative, and is unchanged otherwise;
    indices count from 0"""
    result = []
    for i in range(len(nums)):
        x = nums[i]
        if i % 2 == 0:
            x = x * k
        elif x < 0:
            x = 0
        result.append(x)
    return result


@hard(k=[0, 3, 5])
def without_largest(nums: SOME_LONG_INTS, *, k):
    """returns the sum of those numbers of the list `nums` that are greater than {k} and not equal
    to the largest number of the list, plus the number of negative numbers in it; the list is never
    empty"""
    total = 0
    largest = max(nums)
    for x in nums:
        if x < 0:
            total += 1
        elif x > k and x != largest:
            total += x
    return total


@hard(k=[1, 2, 3])
def running_maximum(nums: LONG_INTS, *, k):
    """goes through the list `nums` with a number `top` that is 0 at first: if a number is greater
    than `top`, it becomes the new `top`, otherwise `top` is lowered by {k}; after each number,
    `top` is appended to a new list; it returns the new list"""
    result = []
    top = 0
    for x in nums:
        if x > top:
            top = x
        else:
            top -= k
        result.append(top)
    return result


@hard(k=[3, 5, 8])
def neighbour_sums(nums: LONG_INTS, *, k):
    """returns the list of the sums nums[i] + nums[i + 1] of neighbours in the list `nums`, where a
    sum that is less than {k} is replaced by {k}"""
    result = []
    for i in range(len(nums) - 1):
        total = nums[i] + nums[i + 1]
        if total < k:
            total = k
        result.append(total)
    return result
