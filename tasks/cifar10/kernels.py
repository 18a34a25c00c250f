"""Triton kernels that compute many cells of one shape at once, each with its own operations.

A batch consists of parts, one for each cell, and an integer for every part and edge says which
operation the edge has. The integers are read on the device: whatever cells are drawn, the same
kernels run on the same shapes, so that a step can be captured once and replayed.

Feature maps are ``[parts, pixels, channels]``, contiguous, where the pixels of a part are those of
its images one after the other; of several nodes or edges, stacked in front of that. Sums are in
float32, or in float64 where the maps are. Nothing is added up in an order that depends on timing.

Importing this module needs Triton, and running it a GPU, or ``TRITON_INTERPRET=1`` for tests.
"""

# Triton reads the annotations of its kernels, so they must not become strings.
# mypy: disable-error-code="no-untyped-def,valid-type,misc,attr-defined"

import triton
import triton.language as tl

NONE = tl.constexpr(0)
SKIP = tl.constexpr(1)
CONV1 = tl.constexpr(2)
CONV3 = tl.constexpr(3)
POOL = tl.constexpr(4)


@triton.jit
def _rows(tile, pixels, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr):
    """Pixels of a tile with their places in the image."""
    pixel = tile * ROWS + tl.arange(0, ROWS)
    place = pixel % (HEIGHT * WIDTH)
    return pixel, place // WIDTH, place % WIDTH


@triton.jit
def _near(
    base, pixel, row, column, down: tl.constexpr, right: tl.constexpr, channel,
    pixels, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The map at a neighbour of every pixel, zero outside the image."""
    y, x = row + down, column + right
    inside = (y >= 0) & (y < HEIGHT) & (x >= 0) & (x < WIDTH) & (pixel < pixels)
    place = (pixel + down * WIDTH + right)[:, None] * CHANNELS + channel[None, :]
    return tl.load(base + place, mask=inside[:, None] & (channel < CHANNELS)[None, :], other=0.0)


@triton.jit
def _count(at, SIZE: tl.constexpr):
    """How many pixels of a window of three lie in the image."""
    return 3 - (at == 0).to(tl.int32) - (at == SIZE - 1).to(tl.int32)


@triton.jit(do_not_specialize=["source"])
def convolve(
    nodes, one, three, codes, edges, source, y, partial,
    parts, chunks, tiles,
    EDGES: tl.constexpr, pixels, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, ACC: tl.constexpr,
    SUMS: tl.constexpr,
):  # fmt: skip
    """The convolutions that leave a node, of ReLU of its map, and the sums of their outputs.

    Grid: parts x chunks, edges. A chunk is ``tiles`` times ``ROWS`` pixels of a part.
    """
    part, chunk = tl.program_id(0) // chunks, tl.program_id(0) % chunks
    edge = tl.load(edges + tl.program_id(1))
    code = tl.load(codes + part * EDGES + edge)
    if (code == CONV1) | (code == CONV3):
        channel = tl.arange(0, BLOCK)
        known = channel < CHANNELS
        x = nodes + (source * parts + part).to(tl.int64) * pixels * CHANNELS
        out = y + (edge * parts + part).to(tl.int64) * pixels * CHANNELS
        weight = channel[:, None] * CHANNELS + channel[None, :]
        both = known[:, None] & known[None, :]
        total = tl.zeros([BLOCK], ACC)
        square = tl.zeros([BLOCK], ACC)
        for tile in range(chunk * tiles, (chunk + 1) * tiles):
            pixel, row, column = _rows(tile, pixels, HEIGHT, WIDTH, ROWS)
            acc = tl.zeros([ROWS, BLOCK], ACC)
            if code == CONV3:
                for tap in tl.static_range(9):
                    a = _near(
                        x, pixel, row, column, tap // 3 - 1, tap % 3 - 1, channel,
                        pixels, HEIGHT, WIDTH, CHANNELS,
                    )  # fmt: skip
                    w = tl.load(
                        three + (edge * 9 + tap) * CHANNELS * CHANNELS + weight,
                        mask=both,
                        other=0.0,
                    )
                    acc = tl.dot(tl.maximum(a, 0.0).to(w.dtype), w, acc, out_dtype=ACC)
            else:
                a = _near(x, pixel, row, column, 0, 0, channel, pixels, HEIGHT, WIDTH, CHANNELS)
                w = tl.load(one + edge * CHANNELS * CHANNELS + weight, mask=both, other=0.0)
                acc = tl.dot(tl.maximum(a, 0.0).to(w.dtype), w, acc, out_dtype=ACC)
            rounded = acc.to(y.dtype.element_ty)
            mask = (pixel < pixels)[:, None] & known[None, :]
            tl.store(out + pixel[:, None] * CHANNELS + channel[None, :], rounded, mask=mask)
            if SUMS:
                value = tl.where(mask, rounded.to(ACC), 0.0)
                total += tl.sum(value, 0)
                square += tl.sum(value * value, 0)
        if SUMS:
            to = partial + ((edge * parts + part) * chunks + chunk) * 2 * CHANNELS + channel
            tl.store(to, total, mask=known)
            tl.store(to + CHANNELS, square, mask=known)


@triton.jit
def add_up(
    partial, codes, edges, sums, mean, scale, eps,
    parts, chunks,
    EDGES: tl.constexpr, pixels, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
    CHUNKS: tl.constexpr, NORM: tl.constexpr,
):  # fmt: skip
    """Partial sums of the chunks to ``[edges, parts, 2, channels]``. Grid: parts, edges.

    With ``NORM`` they become mean and 1 / deviation, ``[edges, parts, channels]``.
    """
    part = tl.program_id(0)
    edge = tl.load(edges + tl.program_id(1))
    code = tl.load(codes + part * EDGES + edge)
    if (code == CONV1) | (code == CONV3):
        chunk, channel = tl.arange(0, CHUNKS), tl.arange(0, BLOCK)
        known = channel < CHANNELS
        mask = (chunk < chunks)[:, None] & known[None, :]
        place = ((edge * parts + part) * chunks + chunk)[:, None] * 2 * CHANNELS + channel[None, :]
        first = tl.sum(tl.load(partial + place, mask=mask, other=0.0), 0)
        second = tl.sum(tl.load(partial + place + CHANNELS, mask=mask, other=0.0), 0)
        if NORM:
            at = (edge * parts + part) * CHANNELS + channel
            first = first / pixels
            variance = tl.maximum(second / pixels - first * first, 0.0)
            tl.store(mean + at, first, mask=known)
            tl.store(scale + at, 1.0 / tl.sqrt(variance + eps), mask=known)
        else:
            to = sums + (edge * parts + part) * 2 * CHANNELS + channel
            tl.store(to, first, mask=known)
            tl.store(to + CHANNELS, second, mask=known)


@triton.jit(do_not_specialize=["count", "target"])
def combine(
    nodes, y, mean, scale, weight, bias, codes, edges, sources, target,
    count, parts, blocks,
    EDGES: tl.constexpr, pixels, HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr,
    ACC: tl.constexpr, AFFINE: tl.constexpr,
):  # fmt: skip
    """The map of a node: the sum of the edges that enter it. Grid: parts x blocks of pixels.

    ``weight`` and ``bias`` are ``[edges, 2, channels]``, of the smaller and the larger kernel.
    """
    part, block = tl.program_id(0) // blocks, tl.program_id(0) % blocks
    pixel, row, column = _rows(block, pixels, HEIGHT, WIDTH, ROWS)
    channel = tl.arange(0, BLOCK)
    known = channel < CHANNELS
    mask = (pixel < pixels)[:, None] & known[None, :]
    place = pixel[:, None] * CHANNELS + channel[None, :]
    acc = tl.zeros([ROWS, BLOCK], ACC)
    for number in range(count):
        edge, source = tl.load(edges + number), tl.load(sources + number)
        code = tl.load(codes + part * EDGES + edge)
        x = nodes + (source * parts + part).to(tl.int64) * pixels * CHANNELS
        if (code == CONV1) | (code == CONV3):
            at = (edge * parts + part) * CHANNELS + channel
            m = tl.load(mean + at, mask=known, other=0.0)
            s = tl.load(scale + at, mask=known, other=0.0)
            out = y + (edge * parts + part).to(tl.int64) * pixels * CHANNELS
            value = tl.load(out + place, mask=mask, other=0.0).to(ACC)
            value = (value - m[None, :]) * s[None, :]
            if AFFINE:
                of = (edge * 2 + code - CONV1) * CHANNELS + channel
                w = tl.load(weight + of, mask=known, other=0.0).to(ACC)
                b = tl.load(bias + of, mask=known, other=0.0).to(ACC)
                value = value * w[None, :] + b[None, :]
            acc += value
        elif code == SKIP:
            acc += tl.load(x + place, mask=mask, other=0.0).to(ACC)
        elif code == POOL:
            window = tl.zeros([ROWS, BLOCK], ACC)
            for tap in tl.static_range(9):
                window += _near(
                    x, pixel, row, column, tap // 3 - 1, tap % 3 - 1, channel,
                    pixels, HEIGHT, WIDTH, CHANNELS,
                ).to(ACC)  # fmt: skip
            inside = (_count(row, HEIGHT) * _count(column, WIDTH)).to(ACC)
            acc += window / inside[:, None]
    to = nodes + (target * parts + part).to(tl.int64) * pixels * CHANNELS + place
    tl.store(to, acc.to(nodes.dtype.element_ty), mask=mask)


@triton.jit
def norm_sums(
    gradient, y, mean, scale, codes, edges, partial,
    parts, chunks, tiles,
    EDGES: tl.constexpr, pixels, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
    ROWS: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Sums of a node's gradient, and of its product with the normalised output of each edge.

    Grid: parts x chunks, edges that enter the node.
    """
    part, chunk = tl.program_id(0) // chunks, tl.program_id(0) % chunks
    edge = tl.load(edges + tl.program_id(1))
    code = tl.load(codes + part * EDGES + edge)
    if (code == CONV1) | (code == CONV3):
        channel = tl.arange(0, BLOCK)
        known = channel < CHANNELS
        at = (edge * parts + part) * CHANNELS + channel
        m = tl.load(mean + at, mask=known, other=0.0)
        s = tl.load(scale + at, mask=known, other=0.0)
        g = gradient + part.to(tl.int64) * pixels * CHANNELS
        out = y + (edge * parts + part).to(tl.int64) * pixels * CHANNELS
        first = tl.zeros([BLOCK], ACC)
        second = tl.zeros([BLOCK], ACC)
        for tile in range(chunk * tiles, (chunk + 1) * tiles):
            pixel = tile * ROWS + tl.arange(0, ROWS)
            mask = (pixel < pixels)[:, None] & known[None, :]
            place = pixel[:, None] * CHANNELS + channel[None, :]
            value = tl.load(g + place, mask=mask, other=0.0).to(ACC)
            normal = (tl.load(out + place, mask=mask, other=0.0).to(ACC) - m[None, :]) * s[None, :]
            first += tl.sum(value, 0)
            second += tl.sum(tl.where(mask, value * normal, 0.0), 0)
        to = partial + ((edge * parts + part) * chunks + chunk) * 2 * CHANNELS + channel
        tl.store(to, first, mask=known)
        tl.store(to + CHANNELS, second, mask=known)


@triton.jit
def norm_backward(
    gradient, y, mean, scale, weight, sums, codes, edges, dy,
    parts, blocks,
    EDGES: tl.constexpr, pixels, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
    ROWS: tl.constexpr, ACC: tl.constexpr, AFFINE: tl.constexpr,
):  # fmt: skip
    """The gradient of the convolutions' outputs. Grid: parts x blocks, edges into the node."""
    part, block = tl.program_id(0) // blocks, tl.program_id(0) % blocks
    edge = tl.load(edges + tl.program_id(1))
    code = tl.load(codes + part * EDGES + edge)
    if (code == CONV1) | (code == CONV3):
        channel = tl.arange(0, BLOCK)
        known = channel < CHANNELS
        at = (edge * parts + part) * CHANNELS + channel
        m = tl.load(mean + at, mask=known, other=0.0)
        s = tl.load(scale + at, mask=known, other=0.0)
        two = (edge * parts + part) * 2 * CHANNELS + channel
        first = tl.load(sums + two, mask=known, other=0.0) / pixels
        second = tl.load(sums + two + CHANNELS, mask=known, other=0.0) / pixels
        pixel = block * ROWS + tl.arange(0, ROWS)
        mask = (pixel < pixels)[:, None] & known[None, :]
        place = pixel[:, None] * CHANNELS + channel[None, :]
        start = (edge * parts + part).to(tl.int64) * pixels * CHANNELS
        g = tl.load(gradient + part.to(tl.int64) * pixels * CHANNELS + place, mask=mask, other=0.0)
        normal = (tl.load(y + start + place, mask=mask, other=0.0).to(ACC) - m[None, :]) * s[
            None, :
        ]
        value = s[None, :] * (g.to(ACC) - first[None, :] - normal * second[None, :])
        if AFFINE:
            of = (edge * 2 + code - CONV1) * CHANNELS + channel
            value = value * tl.load(weight + of, mask=known, other=0.0).to(ACC)[None, :]
        tl.store(dy + start + place, value.to(dy.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["count", "source"])
def input_gradient(
    nodes, gradients, dy, one, three, codes, edges, targets, source,
    count, parts, blocks,
    EDGES: tl.constexpr, pixels, HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr,
    ACC: tl.constexpr,
):  # fmt: skip
    """The gradient of a node's map, from all edges that leave it. Grid: parts x blocks."""
    part, block = tl.program_id(0) // blocks, tl.program_id(0) % blocks
    pixel, row, column = _rows(block, pixels, HEIGHT, WIDTH, ROWS)
    channel = tl.arange(0, BLOCK)
    known = channel < CHANNELS
    mask = (pixel < pixels)[:, None] & known[None, :]
    place = pixel[:, None] * CHANNELS + channel[None, :]
    both = known[:, None] & known[None, :]
    turned = channel[None, :] * CHANNELS + channel[:, None]
    convolved = tl.zeros([ROWS, BLOCK], ACC)
    plain = tl.zeros([ROWS, BLOCK], ACC)
    for number in range(count):
        edge, target = tl.load(edges + number), tl.load(targets + number)
        code = tl.load(codes + part * EDGES + edge)
        out = dy + (edge * parts + part).to(tl.int64) * pixels * CHANNELS
        g = gradients + (target * parts + part).to(tl.int64) * pixels * CHANNELS
        if code == CONV3:
            for tap in tl.static_range(9):
                d = _near(
                    out, pixel, row, column, 1 - tap // 3, 1 - tap % 3, channel,
                    pixels, HEIGHT, WIDTH, CHANNELS,
                )  # fmt: skip
                w = tl.load(
                    three + (edge * 9 + tap) * CHANNELS * CHANNELS + turned, mask=both, other=0.0
                )
                convolved = tl.dot(d, w, convolved, out_dtype=ACC)
        elif code == CONV1:
            d = tl.load(out + place, mask=mask, other=0.0)
            w = tl.load(one + edge * CHANNELS * CHANNELS + turned, mask=both, other=0.0)
            convolved = tl.dot(d, w, convolved, out_dtype=ACC)
        elif code == SKIP:
            plain += tl.load(g + place, mask=mask, other=0.0).to(ACC)
        elif code == POOL:
            for tap in tl.static_range(9):
                value = _near(
                    g, pixel, row, column, tap // 3 - 1, tap % 3 - 1, channel,
                    pixels, HEIGHT, WIDTH, CHANNELS,
                ).to(ACC)  # fmt: skip
                inside = _count(row + tap // 3 - 1, HEIGHT) * _count(column + tap % 3 - 1, WIDTH)
                plain += value / inside.to(ACC)[:, None]
    start = (source * parts + part).to(tl.int64) * pixels * CHANNELS
    x = tl.load(nodes + start + place, mask=mask, other=0.0)
    value = plain + tl.where(x > 0, convolved, 0.0)
    tl.store(gradients + start + place, value.to(gradients.dtype.element_ty), mask=mask)


@triton.jit
def weight_gradient(
    nodes, dy, codes, sources, partial,
    parts, chunks, tiles,
    EDGES: tl.constexpr, pixels, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Partial gradients of the kernels. Grid: parts x chunks, edges, rows of the kernel.

    ``partial`` is ``[edges, parts x chunks, 9, channels, channels]``; a kernel of one pixel has its
    gradient in the middle.
    """
    part, chunk = tl.program_id(0) // chunks, tl.program_id(0) % chunks
    edge, line = tl.program_id(1), tl.program_id(2)
    code = tl.load(codes + part * EDGES + edge)
    if (code == CONV3) | ((code == CONV1) & (line == 1)):
        source = tl.load(sources + edge)
        channel = tl.arange(0, BLOCK)
        known = channel < CHANNELS
        x = nodes + (source * parts + part).to(tl.int64) * pixels * CHANNELS
        out = dy + (edge * parts + part).to(tl.int64) * pixels * CHANNELS
        left = tl.zeros([BLOCK, BLOCK], ACC)
        middle = tl.zeros([BLOCK, BLOCK], ACC)
        right = tl.zeros([BLOCK, BLOCK], ACC)
        for tile in range(chunk * tiles, (chunk + 1) * tiles):
            pixel, row, column = _rows(tile, pixels, HEIGHT, WIDTH, ROWS)
            mask = (pixel < pixels)[:, None] & known[None, :]
            d = tl.load(out + pixel[:, None] * CHANNELS + channel[None, :], mask=mask, other=0.0)
            y = row + line - 1
            above = (pixel < pixels) & (y >= 0) & (y < HEIGHT)
            start = x + (pixel + (line - 1) * WIDTH)[:, None] * CHANNELS + channel[None, :]
            a = tl.load(start, mask=above[:, None] & known[None, :], other=0.0)
            middle = tl.dot(tl.trans(tl.maximum(a, 0.0).to(d.dtype)), d, middle, out_dtype=ACC)
            if code == CONV3:
                inside = (above & (column > 0))[:, None] & known[None, :]
                a = tl.load(start - CHANNELS, mask=inside, other=0.0)
                left = tl.dot(tl.trans(tl.maximum(a, 0.0).to(d.dtype)), d, left, out_dtype=ACC)
                inside = (above & (column < WIDTH - 1))[:, None] & known[None, :]
                a = tl.load(start + CHANNELS, mask=inside, other=0.0)
                right = tl.dot(tl.trans(tl.maximum(a, 0.0).to(d.dtype)), d, right, out_dtype=ACC)
        both = known[:, None] & known[None, :]
        square: tl.constexpr = CHANNELS * CHANNELS
        row_of = (edge * parts * chunks + tl.program_id(0)).to(tl.int64) * 9 + line * 3
        to = partial + row_of * square + channel[:, None] * CHANNELS + channel[None, :]
        tl.store(to + square, middle, mask=both)
        if code == CONV3:
            tl.store(to, left, mask=both)
            tl.store(to + 2 * square, right, mask=both)


@triton.jit
def add_up_weights(
    partial, codes, one, three,
    parts, chunks,
    EDGES: tl.constexpr, SIZE: tl.constexpr, MIDDLE: tl.constexpr, BLOCK: tl.constexpr,
    ROWS: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Gradients of both kernels of every edge, from the parts. Grid: edges, slices of the kernel.

    ``SIZE`` is 9 x channels x channels, ``MIDDLE`` the place of the kernel's middle in it.
    """
    edge = tl.program_id(0)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], ACC)
    small = tl.zeros([BLOCK], ACC)
    wide: tl.constexpr = SIZE // 9
    centre = (place >= MIDDLE) & (place < MIDDLE + wide)
    for first in range(0, parts * chunks, ROWS):
        number = first + tl.arange(0, ROWS)
        known = number < parts * chunks
        code = tl.load(codes + (number // chunks) * EDGES + edge, mask=known, other=0)
        at = (edge * parts * chunks + number).to(tl.int64)[:, None] * SIZE + place[None, :]
        large = (code == CONV3)[:, None] & (place < SIZE)[None, :]
        total += tl.sum(tl.load(partial + at, mask=large, other=0.0), 0)
        little = (code == CONV1)[:, None] & centre[None, :]
        small += tl.sum(tl.load(partial + at, mask=little, other=0.0), 0)
    tl.store(three + edge * SIZE + place, total, mask=place < SIZE)
    tl.store(one + edge * wide + place - MIDDLE, small, mask=centre)
