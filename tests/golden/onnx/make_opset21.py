#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes opset21.bin: one-operator models of opsets 18 to 21 with ONNX Runtime's results.

    python3 make_opset21.py MODULES      # MODULES holds node_modules/onnxruntime-node (1.30 was used)

Needs python3-onnx (only its protobuf classes: nothing here checks an opset), numpy and node. A model has one input x
of float32; everything else is an initialiser, and integers are made by Cast from x. The file is a list of records:
  u32 length + name, u32 length + ModelProto, u32 length + TensorProto x, u32 count, (u32 length + TensorProto) each
in little-endian numbers."""
import base64
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20)
cases = []


def tensor(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def typed(name, data_type, dims, raw):
    """For types that numpy has not."""
    return TensorProto(name=name, data_type=data_type, dims=dims, raw_data=bytes(raw))


def case(name, opset, nodes, x, inits=(), n_out=1):
    """nodes: (op, inputs, outputs, attributes) each; the outputs are y0, y1, ..."""
    made = [helper.make_node(op, i.split(), o.split(), **a) for op, i, o, a in nodes]
    for node in made:
        for k, n in enumerate(node.input):
            node.input[k] = '' if n == '-' else n
    x = np.asarray(x, np.float32)
    graph = helper.make_graph(
        made, 'g', [helper.make_tensor_value_info('x', TensorProto.FLOAT, x.shape)],
        [helper.make_empty_tensor_value_info(f'y{k}') for k in range(n_out)],
        [t if isinstance(t, TensorProto) else tensor(*t) for t in inits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=10 if opset > 20 else 8)
    cases.append({'name': f'{name}_{opset}', 'model': model, 'x': x})


def one(name, opset, op, x, inputs='x', inits=(), n_out=1, **attrs):
    case(name, opset, [(op, inputs, ' '.join(f'y{k}' for k in range(n_out)), attrs)], x, inits, n_out)


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def i64(*v):
    return np.array(v, np.int64)


def f32(*v):
    return np.array(v, np.float32)


def resizes():
    x = normal(2, 3, 5, 6)
    for opset in (18, 19):
        for mode in ('nearest', 'linear', 'cubic'):
            for how in ('half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel') + (
                    ('half_pixel_symmetric',) if opset == 19 else ()):
                # With align_corners ONNX divides by the exact product of size and scale, ONNX Runtime by the size:
                # the same where the product is whole.
                whole = how == 'align_corners'
                for scales in ((1, 1, 1.6, 1.5), (1, 1, 0.6, 0.5)) if whole else ((1, 1, 1.7, 2.3), (1, 1, 0.6, 0.45)):
                    one(f'resize_{mode}_{how}_{"up" if scales[2] > 1 else "down"}', opset, 'Resize', x, 'x - s',
                        [('s', f32(*scales))], mode=mode, coordinate_transformation_mode=how)
        for policy in ('stretch', 'not_larger', 'not_smaller'):
            one(f'resize_policy_{policy}', opset, 'Resize', x, 'x - - n', [('n', i64(9, 8))], mode='linear',
                axes=[2, 3], keep_aspect_ratio_policy=policy)
        for mode in ('linear', 'cubic'):
            one(f'resize_antialias_{mode}', opset, 'Resize', x, 'x - s', [('s', f32(0.6, 0.5))], mode=mode,
                axes=[2, 3], antialias=1)
        for rounding in ('round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'):
            one(f'resize_nearest_{rounding}', opset, 'Resize', x, 'x - s', [('s', f32(1, 1, 2.5, 0.5))],
                mode='nearest', nearest_mode=rounding)
        one('resize_exclude_outside', opset, 'Resize', x, 'x - s', [('s', f32(1, 1, 1.5, 0.8))], mode='cubic',
            exclude_outside=1, cubic_coeff_a=-0.5)
        one('resize_crop', opset, 'Resize', x, 'x r - n', [('r', f32(0, 0, 0.2, 0.1, 1, 1, 0.8, 1.3)),
                                                           ('n', i64(2, 3, 4, 7))], mode='linear',
            coordinate_transformation_mode='tf_crop_and_resize', extrapolation_value=-3.0)


def pads():
    x = normal(2, 3, 4)
    for opset in (18, 19, 21):
        for mode in ('constant', 'reflect', 'edge') + (('wrap',) if opset >= 19 else ()):
            one(f'pad_{mode}', opset, 'Pad', x, 'x p', [('p', i64(0, 1, 2, 0, 2, 1))], mode=mode)
            one(f'pad_{mode}_axes', opset, 'Pad', x, 'x p - a', [('p', i64(2, 1, 1, 1)), ('a', i64(-1, 1))],
                mode=mode)
        one('pad_value_negative', opset, 'Pad', x, 'x p v', [('p', i64(0, 0, 2, 0, 2, -1)), ('v', f32(2.5)[0])])


def splits():
    x = normal(2, 7)
    one('split_uneven', 18, 'Split', x, n_out=3, axis=1, num_outputs=3)
    one('split_sizes', 18, 'Split', x, 'x s', [('s', i64(2, 4, 1))], n_out=3, axis=-1)


def reductions():
    x = normal(2, 3, 4) + np.float32(0.1)
    for op in ('Sum', 'Mean', 'Max', 'Min', 'Prod', 'L1', 'L2', 'LogSum', 'LogSumExp', 'SumSquare'):
        data = np.abs(x) if op == 'LogSum' else x
        one(f'reduce_{op}', 18, f'Reduce{op}', data, 'x a', [('a', i64(1, -1))], keepdims=0)
        one(f'reduce_{op}_keep', 18, f'Reduce{op}', data, 'x a', [('a', i64(-2))])
        one(f'reduce_{op}_noop', 18, f'Reduce{op}', data, noop_with_empty_axes=1)
        one(f'reduce_{op}_all', 18, f'Reduce{op}', data, keepdims=0)
    for op in ('Max', 'Min'):
        one(f'reduce_{op}', 20, f'Reduce{op}', x, 'x a', [('a', i64(1))])
        case(f'reduce_{op}_bool', 20, [('Greater', 'x z', 'b', {}), (f'Reduce{op}', 'b a', 'y0', {'keepdims': 0})], x,
             [('z', f32(0.5)[0]), ('a', i64(-1))])


def quantised():
    x = np.arange(2 * 3 * 8, dtype=np.float32).reshape(2, 3, 8) - 20
    scale = np.abs(normal(2, 3, 2)) + np.float32(0.05)
    zero = rng.integers(-5, 5, (2, 3, 2))
    for opset in (19, 21):
        case('dequantize_axis', opset, [('Cast', 'x', 'q', {'to': TensorProto.INT8}),
                                        ('DequantizeLinear', 'q s z', 'y0', {'axis': 1})], x,
             [('s', f32(0.1, 0.2, 0.5)), ('z', np.array([1, -2, 0], np.int8))])
        case('dequantize_int32', opset, [('Cast', 'x', 'q', {'to': TensorProto.INT32}),
                                         ('DequantizeLinear', 'q s', 'y0', {})], x, [('s', f32(0.1)[0])])
        one('quantize_axis', opset, 'QuantizeLinear', x * 3, 'x s z',
            [('s', f32(0.7, 2, 0.5)), ('z', np.array([100, 3, 0], np.uint8))], axis=1)
        one('quantize_scalar', opset, 'QuantizeLinear', x, 'x s z', [('s', f32(0.5)[0]), ('z', np.int8(-4))])
    case('dequantize_blocked', 21, [('Cast', 'x', 'q', {'to': TensorProto.INT8}),
                                    ('DequantizeLinear', 'q s z', 'y0', {'axis': 2, 'block_size': 4})], x,
         [('s', scale), ('z', zero.astype(np.int8))])
    case('dequantize_blocked_middle', 21, [('Cast', 'x', 'q', {'to': TensorProto.UINT8}),
                                           ('DequantizeLinear', 'q s', 'y0', {'axis': 1, 'block_size': 2})],
         np.abs(x), [('s', np.abs(normal(2, 2, 8)) + np.float32(0.1))])
    case('dequantize_int4', 21, [('DequantizeLinear', 'w s z', 'd', {'axis': 0}), ('MatMul', 'x d', 'y0', {})],
         normal(2, 4), [typed('w', 22, [4, 2], (0x18, 0xf7, 0x2e, 0x90)), ('s', f32(0.5, 0.25, 2, 1)),
                        typed('z', 22, [4], (0x10, 0xf0))])
    case('dequantize_uint4', 21, [('DequantizeLinear', 'w s', 'd', {'axis': 0, 'block_size': 2}),
                                  ('MatMul', 'x d', 'y0', {})],
         normal(2, 4), [typed('w', 21, [4, 2], (0x18, 0xf7, 0x2e, 0x90)), ('s', np.abs(normal(2, 2)))])
    one('quantize_blocked', 21, 'QuantizeLinear', x, 'x s z', [('s', scale), ('z', zero.astype(np.int8))], axis=2,
        block_size=4)
    case('qlinear_matmul', 21, [('Cast', 'x', 'q', {'to': TensorProto.UINT8}),
                                ('QLinearMatMul', 'q s z w s u t v', 'y0', {})], np.abs(x[0]),
         [('s', f32(0.1)[0]), ('z', np.uint8(3)), ('w', rng.integers(-9, 9, (8, 4)).astype(np.int8)),
          ('u', np.int8(-2)), ('t', f32(0.3)[0]), ('v', np.uint8(100))])
    one('quantize_output_dtype', 21, 'QuantizeLinear', x, 'x s', [('s', f32(0.5)[0])], output_dtype=TensorProto.INT8)


def normalisations():
    x = normal(2, 6, 3, 4)
    for opset, n in ((18, 2), (18, 3), (21, 6)):
        size = n if opset == 18 else 6
        one(f'group_normalization_{n}', opset, 'GroupNormalization', x, 'x s b', [('s', normal(size)),
                                                                                 ('b', normal(size))], num_groups=n)
    one('group_normalization', 21, 'GroupNormalization', x, 'x s b', [('s', normal(6)), ('b', normal(6))],
        num_groups=2, epsilon=0.01)
    one('layer_normalization', 18, 'LayerNormalization', x, 'x s b', [('s', normal(3, 4)), ('b', normal(3, 4))],
        axis=2)
    one('mean_variance_normalization', 18, 'MeanVarianceNormalization', x)


def samplers():
    x = normal(2, 3, 5, 4)
    grid = rng.uniform(-1.3, 1.3, (2, 3, 6, 2)).astype(np.float32)
    for mode in ('linear', 'nearest', 'cubic'):
        for padding in ('zeros', 'border', 'reflection'):
            for corners in (0, 1):
                one(f'grid_sample_{mode}_{padding}_{corners}', 20, 'GridSample', x, 'x g', [('g', grid)], mode=mode,
                    padding_mode=padding, align_corners=corners)
    volume = rng.uniform(-1.2, 1.2, (1, 2, 3, 4, 3)).astype(np.float32)
    for mode in ('linear', 'nearest'):
        one(f'grid_sample_3d_{mode}', 20, 'GridSample', normal(1, 2, 3, 4, 5), 'x g', [('g', volume)], mode=mode)


def pools():
    x = normal(2, 2, 9, 8)
    for include in (0, 1):
        one(f'average_pool_dilated_{include}', 19, 'AveragePool', x, kernel_shape=[3, 2], dilations=[2, 3],
            pads=[1, 1, 1, 1], strides=[2, 1], count_include_pad=include)
        one(f'average_pool_ceil_{include}', 19, 'AveragePool', x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1,
            pads=[1, 1, 1, 1], count_include_pad=include)
    one('average_pool_same', 19, 'AveragePool', x, kernel_shape=[3, 3], strides=[2, 2], auto_pad='SAME_UPPER')
    one('max_pool', 18, 'MaxPool', x, kernel_shape=[3, 3], dilations=[2, 1], strides=[2, 2], ceil_mode=1)
    one('lp_pool', 18, 'LpPool', x, kernel_shape=[3, 2], p=2, strides=[2, 1])


def elementwise():
    x = f32(-3.5, -1, -0.5, 0, 0.25, 1, 2.5, 70000).reshape(2, 4)
    for approximate in ('none', 'tanh'):
        one(f'gelu_{approximate}', 20, 'Gelu', x[:, :3], approximate=approximate)
    one('mish', 18, 'Mish', x)
    one('clip', 18, 'Clip', x, 'x - h', [('h', f32(0.5)[0])])
    for to in (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL,
               TensorProto.DOUBLE):
        for opset in (19, 21):
            # a negative number to an unsigned type is undefined
            one(f'cast_{to}', opset, 'Cast', abs(x[:, :3]) if to == TensorProto.UINT8 else x[:, :3], to=to)
            if to != TensorProto.UINT8:
                one(f'cast_like_{to}', opset, 'CastLike', x[:, :3], 'x l',
                    [('l', np.zeros(1, helper.mapping.TENSOR_TYPE_TO_NP_TYPE[to]))])
    for opset in (19, 21):
        case('cast_half', opset, [('Cast', 'x', 'h', {'to': TensorProto.FLOAT16}),
                                  ('Cast', 'h', 'y0', {'to': TensorProto.FLOAT})], x + np.float32(1e-4))
        case('cast_bfloat', opset, [('Cast', 'x', 'h', {'to': TensorProto.BFLOAT16}),
                                    ('Cast', 'h', 'y0', {'to': TensorProto.FLOAT})], x + np.float32(1e-4))
        one('equal', opset, 'Equal', x, 'x b', [('b', f32(0, 1, -0.5, 0))])
    nan = f32(np.nan, np.inf, -np.inf, 1)
    one('is_nan', 20, 'IsNaN', nan)
    one('is_inf', 20, 'IsInf', nan, detect_negative=0)
    for op in ('And', 'Or', 'Xor'):
        case(f'bitwise_{op.lower()}', 18, [('Cast', 'x', 'i', {'to': TensorProto.INT32}),
                                           (f'Bitwise{op}', 'i b', 'y0', {})], f32(-7, 5, 12, 255),
             [('b', np.array([6], np.int32))])
    case('bitwise_not', 18, [('Cast', 'x', 'i', {'to': TensorProto.INT32}), ('BitwiseNot', 'i', 'y0', {})],
         f32(-7, 5, 12, 255))


def moves():
    x = normal(2, 3, 4)
    for opset in (19, 21):
        one('reshape', opset, 'Reshape', x, 'x s', [('s', i64(0, -1))])
        one('flatten', opset, 'Flatten', x, axis=2)
        one('transpose', opset, 'Transpose', x, perm=[0, 2, 1])
        one('squeeze', opset, 'Squeeze', x[:, :1], 'x a', [('a', i64(1))])
        one('unsqueeze', opset, 'Unsqueeze', x, 'x a', [('a', i64(1, -1))])
        one('identity', opset, 'Identity', x)
        case('shape', opset, [('Shape', 'x', 's', {'start': 1}), ('Cast', 's', 'f', {'to': TensorProto.FLOAT}),
                              ('Mul', 'x f', 'y0', {})], normal(2, 4, 2))
        case('size', opset, [('Size', 'x', 's', {}), ('Cast', 's', 'f', {'to': TensorProto.FLOAT}),
                             ('Mul', 'x f', 'y0', {})], normal(2, 4, 2))
        case('constant_of_shape', opset, [('ConstantOfShape', 's', 'c', {'value': tensor('', f32(2.5))}),
                                       ('Add', 'x c', 'y0', {})], x, [('s', i64(3, 4))])
    indices = np.array([[[0, 1, 2, 0], [2, 0, 0, 1], [1, 2, 1, 2]], [[0, 0, 2, 0], [2, 1, 0, 1], [1, 2, 1, 2]]])
    for how in ('none', 'add', 'mul', 'max', 'min'):
        target = indices if how != 'none' else np.argsort(normal(2, 3, 4), axis=1)
        one(f'scatter_elements_{how}', 18, 'ScatterElements', x, 'x i u',
            [('i', target.astype(np.int64)), ('u', normal(2, 3, 4))], axis=1, reduction=how)
        rows = i64(1, 0) if how == 'none' else i64(1, 1)
        one(f'scatter_nd_{how}', 18, 'ScatterND', x, 'x i u',
            [('i', rows.reshape(2, 1)), ('u', normal(2, 3, 4))], reduction=how)


def control():
    x = normal(2, 4)
    branch = lambda name, op: helper.make_graph([helper.make_node(op, ['x'], [name])], name, [], [  # noqa: E731
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])
    for opset in (18, 21):
        for taken in (True, False):
            case(f'if_{taken}', opset, [('If', 'c', 'y0', {'then_branch': branch('t', 'Abs'),
                                                           'else_branch': branch('e', 'Neg')})], x,
                 [('c', np.array(taken))])
        value = helper.make_tensor_value_info
        body = helper.make_graph(
            [helper.make_node('Cast', ['i'], ['f'], to=TensorProto.FLOAT), helper.make_node('Add', ['v', 'f'], ['w']),
             helper.make_node('Mul', ['w', 'x'], ['r']), helper.make_node('Identity', ['k'], ['k_out'])], 'body',
            [value('i', TensorProto.INT64, []), value('k', TensorProto.BOOL, []), value('v', TensorProto.FLOAT, None)],
            [value('k_out', TensorProto.BOOL, []), value('w', TensorProto.FLOAT, None),
             value('r', TensorProto.FLOAT, None)])
        case('loop', opset, [('Loop', 'm - x', 'y0 scan', {'body': body}),
                             ('ReduceSum', 'scan a', 'y1', {'keepdims': 0})], x,
             [('m', np.array(3, np.int64)), ('a', i64(0))], n_out=2)


def record(data):
    return struct.pack('<I', len(data)) + data


NUMPY = {'float32': np.float32, 'float64': np.float64, 'int8': np.int8, 'uint8': np.uint8, 'int32': np.int32,
         'int64': np.int64, 'bool': np.bool_}


def main(modules):
    for make in (resizes, pads, splits, reductions, quantised, normalisations, samplers, pools, elementwise, moves,
                 control):
        make()
    with tempfile.TemporaryDirectory() as folder:
        jobs = [{'name': c['name'], 'model': base64.b64encode(c['model'].SerializeToString()).decode(),
                 'dims': list(c['x'].shape), 'x': base64.b64encode(c['x'].tobytes()).decode()} for c in cases]
        path = pathlib.Path(folder, 'jobs.json')
        path.write_text(json.dumps(jobs))
        subprocess.run(['node', HERE / 'make_opset21.mjs', modules, path], check=True)
        results = json.loads(path.read_text())
    with open(HERE / 'opset21.bin', 'wb') as out:
        for c, r in zip(cases, results):
            if 'error' in r:
                print(f'{c["name"]}: ONNX Runtime does not run it: {r["error"][:300]}')
                continue
            out.write(record(c['name'].encode()) + record(c['model'].SerializeToString()))
            out.write(record(tensor('x', c['x']).SerializeToString()))
            out.write(struct.pack('<I', len(r['outputs'])))
            for y in r['outputs']:
                data = np.frombuffer(base64.b64decode(y['data']), NUMPY[y['type']]).reshape(y['dims'])
                out.write(record(tensor(y['name'], data).SerializeToString()))


main(sys.argv[1])
