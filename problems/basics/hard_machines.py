"""Training families of the harder tier that follow something step by step; `family.py` explains
the form."""

from problems.basics.family import (
    LONG_INTS,
    LONG_POSITIVES,
    hard,
    text_of,
)

BUTTONS = text_of("+++-0", 5, 9, "")
DOOR = text_of("ooccx", 5, 9, "")
BRACKETS = text_of("((xx)", 5, 9, "")
KEYS = text_of("abc<", 5, 9, "<a")
SIGNED = text_of("12345+-", 5, 9, "")


@hard(k=[2, 3, 4])
def counter_display(buttons: BUTTONS, *, k):
    """returns the number that a counter shows at the end; it shows 0 at first; for each character
    of the string `buttons`, '+' adds 1, '-' subtracts 1, and '0' sets the number to 0; a number
    that is greater than {k} is set to 0 at once"""
    value = 0
    for button in buttons:
        if button == "+":
            value += 1
        elif button == "-":
            value -= 1
        else:
            value = 0
        if value > k:
            value = 0
    return value


@hard(mark=["*", "#", "-"])
def typed_text(keys: KEYS, *, mark):
    """goes through the string `keys` and builds a new string: for the character '<', the last
    letter of the new string is removed (nothing happens if it is empty), and for any other
    character, the character is added; it returns the new string followed by {mark!r}"""
    text = ""
    for key in keys:
        if key == "<":
            text = text[:-1]
        else:
            text += key
    return text + mark


@hard(k=[1, 2])
def depth_letters(text: BRACKETS, *, k):
    """goes through the string `text` with two numbers, `depth` and `count`, that are 0 at first:
    '(' adds 1 to `depth`, ')' subtracts 1 from `depth`, and any other character adds 1 to `count`
    if `depth` is at least {k}; it returns `count`"""
    depth = 0
    count = 0
    for ch in text:
        if ch == "(":
            depth += 1
        elif ch == ")":
            depth -= 1
        elif depth >= k:
            count += 1
    return count


@hard(k=[0, 5, 10])
def account_after(changes: LONG_INTS, *, k):
    """goes through the list `changes` with a balance that is {k} at first: if the balance plus the
    number is at least 0, the number is added to the balance, and otherwise the number is skipped;
    it returns the balance"""
    balance = k
    for change in changes:
        after = balance + change
        if after >= 0:
            balance = after
    return balance


@hard(k=[1, 2, 3])
def queue_left(events: LONG_INTS, *, k):
    """goes through the list `events` with a queue, a list that is empty at first: a number greater
    than {k} is added at the end of the queue, and any other number removes the first number of the
    queue, if there is one; it returns the queue"""
    queue = []
    for event in events:
        size = len(queue)
        if event > k:
            queue.append(event)
        elif size > 0:
            queue.pop(0)
    return queue


@hard(bonus=[2, 3, 5])
def game_points(scores: LONG_INTS, *, bonus):
    """goes through the indices i of the list `scores` with points that are 0 at first: scores[i] is
    added to the points, and if i is greater than 0 and scores[i] is greater than scores[i - 1],
    {bonus} is added as well; it returns the points"""
    points = 0
    for i in range(len(scores)):
        score = scores[i]
        points += score
        if i > 0 and score > scores[i - 1]:
            points += bonus
    return points


@hard(k=[1, 2, 10])
def signed_sum(text: SIGNED, *, k):
    """goes through the string `text` with a total that is 0 and a sign that is 1 at first: '+' sets
    the sign to {k}, '-' sets it to -1, and a digit times the sign is added to the total; it returns
    the total"""
    total = 0
    sign = 1
    for ch in text:
        if ch == "-":
            sign = -1
        elif ch == "+":
            sign = k
        else:
            digit = int(ch)
            total += sign * digit
    return total


@hard(k=[4, 5, 6])
def tired_walk(steps: LONG_POSITIVES, *, k):
    """goes through the list `steps` with a way that is 0 at first: a number greater than {k} adds
    {k} to the way, an even number that is not greater adds its double, and any other number is
    added itself; it returns the way"""
    way = 0
    for step in steps:
        if step > k:
            way += k
        elif step % 2 == 0:
            double = step * 2
            way += double
        else:
            way += step
    return way
