"""How good word vectors are: whether words of one kind lie together."""

import numpy as np

# Everyday words of ten kinds; a word's nearest among all of them should be of its own kind.
KINDS = {
    "animals": "horse dog cat cow sheep goat ox wolf bear lion deer fox rabbit monkey elephant",
    "metals": "gold silver iron copper lead tin zinc mercury nickel platinum",
    "colors": "red blue green yellow white black brown purple gray scarlet crimson",
    "body": "head neck arm leg foot hand nose eye ear mouth shoulder finger breast skin",
    "kin": "father mother brother sister son daughter uncle wife husband parent child",
    "numbers": "two three four five six seven eight nine ten twelve twenty hundred",
    "clothes": "coat hat shoe shirt cloak hood gown stocking cap glove sleeve",
    "buildings": "house church temple castle tower palace fort cottage dwelling hall",
    "ships": "ship boat mast sail deck hull anchor rope yard vessel",
    "faith": "god christ church prayer priest bishop worship gospel monk pope",
    "plants": "tree shrub herb flower leaf seed fruit root stem bark grass",
    "countries": "england france germany italy spain india china egypt greece russia",
}
SHOWN = ("two", "water", "king", "horse", "red", "france", "ship", "music")


def same_kind(vectors, index):
    """Share of the words whose nearest, among the words of all kinds, is of the same kind.

    Args:
        vectors: A row of length 1 a word.
        index: A word's row.

    Returns:
        The share, and how many words were asked.
    """
    placed = [(word, kind) for kind, words in KINDS.items() for word in words.split() if word in index]
    rows = vectors[[index[word] for word, _ in placed]]
    near = rows @ rows.T
    # Nobody is his own neighbour, nor is a word that stands for two kinds.
    for row, (word, _) in enumerate(placed):
        near[row, [other == word for other, _ in placed]] = -np.inf
    right = [placed[nearest][1] == placed[row][1] for row, nearest in enumerate(near.argmax(1))]
    return float(np.mean(right)), len(placed)


def neighbours(vectors, vocabulary, row, count=6):
    """The words nearest to one."""
    order = np.argsort(-(vectors @ vectors[row]))
    return [vocabulary[other] for other in order if other != row][:count]
