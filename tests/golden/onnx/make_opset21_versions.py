#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes opset21_versions.txt: for each operator of ai.onnx the opsets up to 21 that introduced or changed it, and
"-N" where opset N deprecated it. python3-onnx 1.12 knows those up to 17; the later ones are from ONNX's change log
(docs/Changelog.md)."""
import pathlib

import onnx.defs

LATER = {
    18: '''BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im GroupNormalization LpPool Mish
        OptionalGetElement OptionalHasElement Pad ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
        ReduceMin ReduceProd ReduceSumSquare Resize ScatterElements ScatterND Split''',
    19: '''AveragePool Cast CastLike Constant DeformConv DequantizeLinear Equal Identity If Loop Pad QuantizeLinear
        Reshape Resize Scan Shape Size''',
    20: '''AffineGrid ConstantOfShape DFT Gelu GridSample ImageDecoder IsInf IsNaN ReduceMax ReduceMin RegexFullMatch
        StringConcat StringSplit''',
    21: '''Cast CastLike Constant ConstantOfShape DequantizeLinear Flatten GroupNormalization Identity If Loop Pad
        QLinearMatMul QuantizeLinear Reshape Scan Shape Size Squeeze Transpose Unsqueeze''',
}

versions = {}
for schema in onnx.defs.get_all_schemas_with_history():
    if schema.domain == '' and schema.since_version <= 17:
        v = schema.since_version
        versions.setdefault(schema.name, set()).add(-v if schema.deprecated else v)
for v, names in LATER.items():
    for name in names.split():
        versions.setdefault(name, set()).add(v)
with open(pathlib.Path(__file__).parent / 'opset21_versions.txt', 'w') as out:
    for name in sorted(versions):
        out.write(' '.join([name] + [str(v) for v in sorted(versions[name], key=abs)]) + '\n')
