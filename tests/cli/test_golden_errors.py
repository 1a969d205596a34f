"""Every sort of mistake, and word for word what the user is told: who refuses, which rule, the values, the remedy.

One table for the command line and one for Python.  Whoever changes a message changes it here.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_files import Setup, archive, both, flowers, gzipped, header, prices, raw, table, text

from gradloom import nn, optim, train
from gradloom.errors import (
    DataError,
    GradloomError,
    OptionError,
    ShapeError,
    UnknownNameError,
)

FAILURE, USAGE = 1, 2


@dataclass(frozen=True)
class Command:
    """A command that must fail: its files, its words, its exit code, what it says after ``gradloom: ``."""

    files: Setup
    words: str
    code: int
    message: str


TRAIN_FLOWERS = "train flowers.csv --target kind"

COMMANDS = {
    # How the command was called
    "no target": Command(
        flowers,
        "train flowers.csv",
        USAGE,
        "flowers.csv: the column to predict must be named; got no --target, and columns petal, width, colour,"
        " kind. Add --target COLUMN.",
    ),
    "unknown target": Command(
        flowers,
        "train flowers.csv --target kinds",
        USAGE,
        "flowers.csv: no column has this name; got 'kinds'. Did you mean 'kind'? Known: colour, kind, petal, width.",
    ),
    "unknown model": Command(
        flowers,
        f"{TRAIN_FLOWERS} --model liner",
        USAGE,
        "--model: no model has this name; got 'liner'. Did you mean 'linear'? Known: auto, linear, mlp.",
    ),
    "unknown loss": Command(
        flowers,
        f"{TRAIN_FLOWERS} --loss cross_entrpy",
        USAGE,
        "--loss: no loss has this name; got 'cross_entrpy'. Did you mean 'cross_entropy'? Known: "
        "absolute_error, binary_cross_entropy, cross_entropy, huber, squared_error.",
    ),
    "loss of another task": Command(
        prices,
        "train prices.csv --target price --loss cross_entropy",
        USAGE,
        "--loss: cross_entropy is for multiclass tasks; got a regression task. Use squared_error or "
        "absolute_error or huber.",
    ),
    "unknown optimizer": Command(
        flowers,
        f"{TRAIN_FLOWERS} --optimizer adamm",
        USAGE,
        "--optimizer: no optimizer has this name; got 'adamm'. Did you mean 'adam'? Known: adadelta, adagrad,"
        " adam, adamw, momentum, nesterov, rmsprop, sgd.",
    ),
    "negative learning rate": Command(
        flowers,
        f"{TRAIN_FLOWERS} --lr -0.1",
        USAGE,
        "Adam: lr is a finite number not below 0; got lr=-0.1. Use a positive rate, e.g. 0.001.",
    ),
    "loss of another task than asked for": Command(
        flowers,
        f"{TRAIN_FLOWERS} --task binary --loss cross_entropy",
        USAGE,
        "--loss: cross_entropy is for multiclass tasks; got a binary task. Use binary_cross_entropy.",
    ),
    "norm of 0": Command(
        flowers,
        f"{TRAIN_FLOWERS} --clip-norm 0",
        USAGE,
        "Adam: clip_norm is a finite number above 0; got clip_norm=0.0. Use a positive number, such as 1.0.",
    ),
    "unknown executor": Command(
        flowers,
        f"{TRAIN_FLOWERS} --executor nativ",
        USAGE,
        "executor: no executor has this name; got 'nativ'. Did you mean 'native'? Known: native, reference.",
    ),
    "negative l2": Command(
        flowers,
        f"{TRAIN_FLOWERS} --l2 -1",
        USAGE,
        "Trainer: l2 must not be negative; got -1.0. Use 0 for no penalty, or a small number such as 0.0001.",
    ),
    "unknown schedule": Command(
        flowers,
        f"{TRAIN_FLOWERS} --schedule cosin",
        USAGE,
        "--schedule: no schedule has this name; got 'cosin'. Did you mean 'cosine'? Known: constant, cosine, "
        "cyclical, exponential, inverse-sqrt, inverse-time, linear, one-cycle, polynomial, restarts, step.",
    ),
    "warm-up longer than the run": Command(
        flowers,
        f"{TRAIN_FLOWERS} --warmup 9 --epochs 9",
        USAGE,
        "--warmup: a warm-up is shorter than the run, which has 9 epochs at most; got 9. Use a few epochs, such as 5.",
    ),
    "dropout of all units": Command(
        flowers,
        f"{TRAIN_FLOWERS} --dropout 1",
        USAGE,
        "--dropout: a rate of dropout lies in [0, 1); got 1.0. Use 0 for none, or a share such as 0.2.",
    ),
    "dropout without units": Command(
        flowers,
        f"{TRAIN_FLOWERS} --model linear --dropout 0.1",
        USAGE,
        "--dropout: a linear model has no units to drop; got 0.1. Leave --dropout out, or use --model mlp.",
    ),
    "largest norm of 0": Command(
        flowers,
        f"{TRAIN_FLOWERS} --max-norm 0",
        USAGE,
        "--max-norm: a norm is a finite number above 0; got 0.0. Use a number from 2 to 4, or leave it out.",
    ),
    "unknown weights of classes": Command(
        flowers,
        f"{TRAIN_FLOWERS} --class-weight balance",
        USAGE,
        "--class-weight: no way to weight classes has this name; got 'balance'. Did you mean 'balanced'? Known: "
        "balanced.",
    ),
    "unknown precision": Command(
        flowers,
        f"{TRAIN_FLOWERS} --precision bf16",
        USAGE,
        "--precision: no precision has this name; got 'bf16'. Did you mean 'bfloat16'? Known: bfloat16.",
    ),
    "no workers": Command(
        flowers,
        f"{TRAIN_FLOWERS} --workers 0",
        USAGE,
        "--workers: this is a whole number from 1; got 0",
    ),
    "more workers than chunks": Command(
        flowers,
        f"{TRAIN_FLOWERS} --workers 99",
        USAGE,
        "MapReduce: each worker needs a chunk of the batch; got 99 workers for 8 chunks. Use fewer workers, more "
        "chunks, or larger batches.",
    ),
    "patience without validation": Command(
        flowers,
        f"{TRAIN_FLOWERS} --patience 3 --validation 0",
        USAGE,
        "--patience: training is stopped by the validation part, and there is none; got 3. Add --validation 0.2, or "
        "leave it out.",
    ),
    "negative decay": Command(
        flowers,
        f"{TRAIN_FLOWERS} --weight-decay -1",
        USAGE,
        "Adam: weight_decay is a finite number not below 0; got weight_decay=-1.0. Use 0 to do without it.",
    ),
    "weights of classes for numbers": Command(
        prices,
        "train prices.csv --target price --class-weight balanced",
        USAGE,
        "--class-weight: numbers have no classes to weight; got a regression task",
    ),
    "batch larger than data": Command(
        flowers,
        f"{TRAIN_FLOWERS} --batch-size 5000",
        USAGE,
        "fit: a batch must not be larger than the data; got batch_size 5000 for 36 examples. Use at most 36, "
        "or 'auto'.",
    ),
    "batch of nothing": Command(
        flowers,
        f"{TRAIN_FLOWERS} --batch-size 0",
        USAGE,
        "--batch-size: this is a whole number from 1, or auto; got '0'",
    ),
    "no epochs": Command(
        flowers, f"{TRAIN_FLOWERS} --epochs 0", USAGE, "--epochs: this is a whole number from 1; got 0"
    ),
    "layer sizes": Command(
        flowers,
        f"{TRAIN_FLOWERS} --hidden 64,x",
        USAGE,
        "--hidden: sizes of hidden layers are whole numbers from 1; got '64,x'. Example: 64,32.",
    ),
    "linear with layers": Command(
        flowers,
        f"{TRAIN_FLOWERS} --model linear --hidden 64",
        USAGE,
        "--hidden: a linear model has no hidden layers; got 64. Leave --hidden out, or use --model mlp.",
    ),
    "share above 1": Command(
        flowers,
        f"{TRAIN_FLOWERS} --validation 1.5",
        USAGE,
        "--validation: a share of the rows is from 0 to less than 1; got 1.5",
    ),
    "shares leave nothing": Command(
        flowers,
        f"{TRAIN_FLOWERS} --validation 0.5 --test 0.5",
        USAGE,
        "--validation and --test: together they must leave rows to train on; got 0.5 and 0.5. Use less than 1"
        " in all, such as 0.2 and 0.2.",
    ),
    "negative seed": Command(
        flowers, f"{TRAIN_FLOWERS} --seed -1", USAGE, "--seed: a seed is a whole number from 0 to 2^64 - 1; got -1"
    ),
    "kinds without equals": Command(
        flowers, f"{TRAIN_FLOWERS} --kinds petal", USAGE, "--kinds: each part is of the form COL=KIND; got 'petal'"
    ),
    "kinds of no column": Command(
        flowers,
        f"{TRAIN_FLOWERS} --kinds pedal=category",
        USAGE,
        "flowers.csv: no column has this name; got 'pedal'. Did you mean 'petal'? Known: colour, kind, petal, width.",
    ),
    "no such kind": Command(
        flowers,
        f"{TRAIN_FLOWERS} --kinds petal=numeric",
        USAGE,
        "flowers.csv: no kind of column has this name; got 'numeric'. Did you mean 'number'? Known: category,"
        " date, identifier, number, text.",
    ),
    "out is a file": Command(
        flowers,
        f"{TRAIN_FLOWERS} --out flowers.csv",
        USAGE,
        "--out: this must be a folder, and it is a file; got flowers.csv",
    ),
    "header of an array": Command(
        archive("a.npz", lambda: {"x": np.ones((4, 2)), "y": np.arange(4)}),
        "train a.npz --header no",
        USAGE,
        "load: header is only for delimited text; got header for a.npz. Leave it out.",
    ),
    "target of an array": Command(
        archive("a.npz", lambda: {"x": np.ones((4, 2)), "y": np.arange(4)}),
        "train a.npz --target label",
        USAGE,
        "a.npz: no column has this name; got 'label'. Known: column_1, column_2, y.",
    ),
    # Files
    "no such file": Command(
        flowers,
        "train flower.csv --target kind",
        FAILURE,
        "flower.csv: there is no such file. Did you mean 'flowers.csv'? Known: flowers.csv.",
    ),
    "no such set": Command(
        flowers,
        "train digit",
        FAILURE,
        "digit: there is neither a file nor a bundled data set of this name. Did you mean 'digits'? Known: "
        "breast_cancer, diabetes, digits, flowers.csv, iris, wine.",
    ),
    "a folder": Command(
        both(flowers, prices),
        "train . --target kind",
        FAILURE,
        ".: a data set is read from a file, and this is a folder. Name one of its files: flowers.csv, prices.csv.",
    ),
    "unknown format": Command(
        raw("flowers.xlsx", b"PK"),
        "train flowers.xlsx --target kind",
        FAILURE,
        "flowers.xlsx: the suffix must tell the format: .csv, .tsv, .txt, .data, .parquet, .npy, .npz, .idx, "
        "each also with .gz; got '.xlsx'. Convert the file, or name it after what it holds.",
    ),
    "empty file": Command(
        text("a.csv", ""), "train a.csv --target y", FAILURE, "a.csv: a table needs at least one row; got an empty file"
    ),
    "names alone": Command(
        text("a.csv", "x,y\n"),
        "train a.csv --target y",
        FAILURE,
        "a.csv: a table needs at least one row below its header; got only the line of names 'x', 'y'. If that"
        " line is data, say that there are no names (header=False, or --header no).",
    ),
    "binary junk": Command(
        raw("a.csv", bytes(range(255, 128, -1)) * 4),
        "train a.csv --target y",
        FAILURE,
        "a.csv: the file is not utf-8 text; got byte 0xff on line 1. Say its encoding "
        "(encoding='latin-1', or --encoding latin-1; likewise utf-16), or save it as UTF-8.",
    ),
    "junk with NUL": Command(
        raw("a.csv", b"x,y\n1,\0\n"),
        "train a.csv --target y",
        FAILURE,
        "a.csv: text must not contain NUL characters; got one on line 2. The file is binary, or say its encoding "
        "(encoding='utf-16', or --encoding utf-16).",
    ),
    "a line too long": Command(
        text("a.csv", "x,y\n1,2\n1,2,3\n"),
        "train a.csv --target y",
        FAILURE,
        "a.csv: every line must have as many cells as the first one, 2; got 3 on line 3. Complete the line, "
        "or quote the cells that contain the delimiter ','.",
    ),
    "the same name twice": Command(
        text("a.csv", "x,x\n1,2\n"),
        "train a.csv --target x",
        FAILURE,
        "a.csv: column names must differ; got 'x' for columns 1 and 2. Rename one of them.",
    ),
    "not Parquet": Command(
        text("a.parquet", "x,y\n1,2\n"),
        "train a.parquet --target y",
        FAILURE,
        "a.parquet: the file does not begin as one of format .parquet must; got the bytes b'x,y\\n1,2\\n'. "
        "Check what it really holds and give it the suffix of that format.",
    ),
    "not an archive": Command(
        text("a.npz", "x,y\n1,2\n"),
        "train a.npz",
        FAILURE,
        "a.npz: the file does not begin as one of format .npz must; got the bytes b'x,y\\n1,2\\n'. Check what "
        "it really holds and give it the suffix of that format.",
    ),
    "arrays of other names": Command(
        archive("a.npz", lambda: {"data": np.ones((4, 2))}),
        "train a.npz",
        FAILURE,
        "a.npz: the arrays must be called x and y, or x_train, y_train, x_test and y_test; got keys data. "
        "Save them under these names: np.savez(file, x=inputs, y=targets).",
    ),
    "arrays of other lengths": Command(
        archive("a.npz", lambda: {"x": np.ones((4, 2)), "y": np.ones(3)}),
        "train a.npz",
        FAILURE,
        "a.npz: inputs and targets must have the same number of samples; got inputs (4, 2) and targets (3,)",
    ),
    "arrays of objects": Command(
        archive("a.npz", lambda: {"x": np.array([{}, {}], dtype=object), "y": np.ones(2)}),
        "train a.npz",
        FAILURE,
        "a.npz['x']: arrays of Python objects are not read: they are pickles, which can run any code. Save "
        "the array with a plain data type: np.save(file, array.astype(np.float32)).",
    ),
    "targets of two columns": Command(
        archive("a.npz", lambda: {"x": np.ones((4, 2)), "y": np.eye(4)[:, :2]}),
        "train a.npz",
        FAILURE,
        "a.npz: there must be one target a sample; got targets of shape (4, 2). Turn one-hot rows into "
        "labels: y.argmax(axis=1).",
    ),
    "idx cut short": Command(
        raw("train-images-idx3-ubyte", b"\0\0\x08\x01\0\0\0\x09abc"),
        "train train-images-idx3-ubyte",
        FAILURE,
        "train-images-idx3-ubyte: an idx file of shape (9,) and type uint8 must have 17 bytes, and some data;"
        " got 11 bytes. The file is damaged or cut short: fetch it again.",
    ),
    "gzip cut short": Command(
        lambda folder: gzipped("a.csv", "x,y\n1,2\n")(folder) or _shorten(folder / "a.csv", 9),
        "train a.csv --target y",
        FAILURE,
        "a.csv: the gzip stream is damaged or cut short; got Compressed file ended before the end-of-stream "
        "marker was reached. Fetch the file again.",
    ),
    # What is in them
    "one class only": Command(
        table("a.csv", lambda row: "yes"),
        "train a.csv --target y",
        FAILURE,
        "a.csv, target 'y': a target must take at least two different values; got yes in all 40 rows. Choose "
        "another column, or add rows of other classes.",
    ),
    "no target at all": Command(
        table("a.csv", lambda row: ""),
        "train a.csv --target y",
        FAILURE,
        "a.csv, target 'y': at least one row needs a target; got only missing cells",
    ),
    "an encoding that does not exist": Command(
        flowers,
        f"{TRAIN_FLOWERS} --encoding latin1000",
        USAGE,
        "flowers.csv: encoding must be one that Python knows; got 'latin1000'. Common ones: utf-8, utf-16, "
        "latin-1, cp1252.",
    ),
    "classes of a quantity": Command(
        table("a.csv", lambda row: row * 1.7),
        "train a.csv --target y --task classification",
        FAILURE,
        "a.csv, target 'y': classes must repeat for a model to learn them; got 40 different values in 40 "
        "rows. Say the task (task='regression', or --task regression).",
    ),
    "three classes as two": Command(
        table("a.csv", lambda row: "abc"[row % 3]),
        "train a.csv --target y --task binary",
        FAILURE,
        "a.csv, target 'y': a binary target has two classes; got 3 classes. Say the task (task='multiclass', "
        "or --task multiclass).",
    ),
    "names as a quantity": Command(
        flowers,
        f"{TRAIN_FLOWERS} --task regression",
        FAILURE,
        "flowers.csv: column 'kind' must hold numbers; got 'rose' in row 1. Correct the cell or leave it "
        "empty (missing).",
    ),
    "a class a row": Command(
        table("a.csv", lambda row: f"name {row}"),
        "train a.csv --target y",
        FAILURE,
        "a.csv, target 'y': classes must repeat for a model to learn them; got 40 different values in 40 "
        "rows. Choose another column as target.",
    ),
    "dates to predict": Command(
        table("a.csv", lambda row: f"2020-01-0{row % 9 + 1}"),
        "train a.csv --target y",
        FAILURE,
        "a.csv, target 'y': a target must be a number or a class; got dates, such as 2020-01-01T00:00:00. "
        "Turn them into a number, such as the days until then.",
    ),
    "infinite target": Command(
        table("a.csv", lambda row: "inf" if row == 7 else row * 1.5),
        "train a.csv --target y",
        FAILURE,
        "a.csv: numbers in column 'y' must be finite; got inf in row 8. Correct the cell or leave it empty (missing).",
    ),
    "infinite cell": Command(
        table("a.csv", lambda row: "-inf" if row % 2 else row * 1.5),
        "train a.csv --target x",
        FAILURE,
        "a.csv: numbers in column 'y' must be finite; got -inf in row 2. Correct the cell or leave it empty (missing).",
    ),
    "all cells missing": Command(
        table("a.csv", lambda row: ""),
        "train a.csv --target x",
        FAILURE,
        "a.csv: at least one column must give a feature; got Column 'y' is left out: all its cells are "
        "missing. Say how a column is to be used (overrides={'name': 'onehot'}, or --kinds name=category).",
    ),
    "text in a column of numbers": Command(
        table("a.csv", lambda row: "n.a." if row == 3 else row),
        "train a.csv --target x --kinds y=number",
        FAILURE,
        "a.csv: column 'y' was asked to be of kind 'number', and every cell must be one; got 'n.a.' in row 4."
        " Correct the cell, or read the column as 'category' or 'text'.",
    ),
    "infinity in an array": Command(
        archive("a.npz", lambda: {"x": np.array([[np.inf, 1.0], [2.0, 3.0]] * 9), "y": np.arange(18) % 2}),
        "train a.npz",
        FAILURE,
        "a.npz: numbers in column 'column_1' must be finite; got inf in row 1. Correct the cell or leave it "
        "empty (missing).",
    ),
    "too few rows": Command(
        table("a.csv", lambda row: row % 2, rows=2),
        "train a.csv --target y",
        FAILURE,
        "split: the validation part must have at least one row; got a share of 0.2 of 2 rows. Give it a "
        "greater share or more rows, or a share of 0 if you do not want it.",
    ),
    "training diverges": Command(
        prices,
        "train prices.csv --target price --optimizer sgd --lr 1e30",
        FAILURE,
        "fit: the loss must stay finite; got NaN or infinity in batch 2 of 6 of epoch 1. Lower the learning "
        "rate, clip gradients (clip_norm=1.0, or --clip-norm 1), or scale the inputs. Trainer(debug_nans=True) names "
        "the layer and the primitive where it began.",
    ),
}

MODEL_COMMANDS = {
    # model.safetensors is a model of flowers.csv
    "no such model": Command(
        flowers,
        "predict mode.safetensors flowers.csv",
        FAILURE,
        "mode.safetensors: there is no such model file. Did you mean 'model.safetensors'? Known: flowers.csv, "
        "model.safetensors.",
    ),
    "a table as a model": Command(
        flowers,
        "predict flowers.csv flowers.csv",
        FAILURE,
        "flowers.csv: a model file begins with a header that fits into it; got a file of 1397 bytes whose "
        "header would have 7599591740214109552. Save the model again, or use a copy of the file that is "
        "whole.",
    ),
    "empty model": Command(
        raw("model.safetensors", b""),
        "info model.safetensors",
        FAILURE,
        "model.safetensors: a model file begins with a header that fits into it; got a file of 0 bytes. Save "
        "the model again, or use a copy of the file that is whole.",
    ),
    "header of 2^63 bytes": Command(
        raw("model.safetensors", struct.pack("<Q", 2**63) + b"{}"),
        "info model.safetensors",
        FAILURE,
        "model.safetensors: a model file begins with a header that fits into it; got a file of 10 bytes whose"
        " header would have 9223372036854775808. Save the model again, or use a copy of the file that is "
        "whole.",
    ),
    "a stranger's safetensors": Command(
        raw("model.safetensors", struct.pack("<Q", 2) + b"{}"),
        "info model.safetensors",
        FAILURE,
        "model.safetensors: this is not a model file of gradloom; got a file without gradloom's description "
        "in its header. Save a model with run.save(path) or gradloom train.",
    ),
    "header is no JSON": Command(
        raw("model.safetensors", struct.pack("<Q", 4) + b"}}}}"),
        "info model.safetensors",
        FAILURE,
        "model.safetensors: the header of a model file is JSON; got Expecting value: line 1 column 1 (char "
        "0). Save the model again, or use a copy of the file that is whole.",
    ),
    "changed description": Command(
        both(flowers, header(lambda d: d.update(seed=7))),
        "predict model.safetensors flowers.csv",
        FAILURE,
        "model.safetensors: the checksum of a model file must match its content; got another one. Save the "
        "model again, or use a copy of the file that is whole.",
    ),
    "another version": Command(
        header(lambda d: d.update(format=99)),
        "info model.safetensors",
        FAILURE,
        "model.safetensors: this version of gradloom reads model files of format 1; got format 99. Use the "
        "version of gradloom that wrote the file.",
    ),
    "unknown layer": Command(
        header(lambda d: d["model"].update(type="Sequentail")),
        "info model.safetensors",
        FAILURE,
        "in model.safetensors: model description: no class has this name; got 'Sequentail'. Did you mean "
        "'Sequential'? Known: Activation, AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, BatchNorm, Branches, Constant, "
        "Conv, ConvTranspose, Dense, Dirac, DropConnect, Dropout, ELU, Embedding, Flatten, GELU, GaussianNoise, "
        "GlobalAvgPool, GlobalMaxPool, GroupNorm, Identity, Join, LayerNorm, LeakyReLU, LocalResponseNorm, LpPool, "
        "MaxPool, MedianPool, NoisyDense, .... Classes of your own must be passed when loading; none is "
        "imported by its name.",
    ),
    "no description of the layers": Command(
        header(lambda d: d.pop("model")),
        "info model.safetensors",
        FAILURE,
        "model.safetensors: the field 'model' of the description must be an object; got nothing. "
        "Save the model again, or use a copy of the file that is whole.",
    ),
    "column is missing": Command(
        text("new.csv", "Petal,width,colour\n1.5,2,red\n"),
        "predict model.safetensors new.csv",
        FAILURE,
        "new.csv: all columns that the model learned from must be there; got none called 'petal' (nearest: "
        "'Petal'). Add or rename them; leave cells empty where the value is not known.",
    ),
    "text among numbers": Command(
        text("new.csv", "petal,width,colour\nlong,2,red\n"),
        "predict model.safetensors new.csv",
        FAILURE,
        "new.csv: column 'petal' must hold numbers; got 'long' in row 1. Correct the cell or leave it empty (missing).",
    ),
    "infinity to predict on": Command(
        text("new.csv", "petal,width,colour\n1.5,inf,red\n"),
        "predict model.safetensors new.csv",
        FAILURE,
        "new.csv: numbers in column 'width' must be finite; got inf in row 1. Correct the cell or leave it "
        "empty (missing).",
    ),
    "nothing to compare with": Command(
        text("new.csv", "petal,width,colour,king\n1.5,2,red,rose\n"),
        "evaluate model.safetensors new.csv",
        USAGE,
        "new.csv: no column has this name; got 'kind'. Did you mean 'king'? Known: colour, king, petal, width.",
    ),
    "truth is missing": Command(
        text("new.csv", "petal,width,colour,kind\n1.5,2,red,\n1.5,2,red,\n"),
        "evaluate model.safetensors new.csv",
        FAILURE,
        "new.csv: at least one row needs a target; got only missing cells",
    ),
    "class that training did not have": Command(
        text("new.csv", "petal,width,colour,kind\n1.5,2,red,tulip\n"),
        "evaluate model.safetensors new.csv",
        FAILURE,
        "new.csv, column 'kind', row 1: no class has this name; got 'tulip'. Known: rose, violet.",
    ),
    "encoding of arrays": Command(
        archive("a.npz", lambda: {"x": np.ones((4, 3)), "y": np.arange(4)}),
        "predict model.safetensors a.npz --encoding latin-1",
        USAGE,
        "load: encoding is only for delimited text; got encoding for a.npz. Leave it out.",
    ),
    "prediction to nowhere": Command(
        flowers,
        "predict model.safetensors flowers.csv -o no/out.csv",
        USAGE,
        "-o: predictions must go to a file that can be written; got no/out.csv: No such file or directory. "
        "Create its folder first, or choose another place.",
    ),
}


def _shorten(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


@pytest.mark.parametrize("name", COMMANDS)
def test_command(name: str, cli, tmp_path: Path) -> None:
    case = COMMANDS[name]
    case.files(tmp_path)
    _must_fail(cli(*case.words.split()), case)


@pytest.mark.parametrize("name", MODEL_COMMANDS)
def test_command_with_a_model(name: str, cli, trained: Path, tmp_path: Path) -> None:
    case = MODEL_COMMANDS[name]
    shutil.copy(trained / "model.safetensors", tmp_path)
    case.files(tmp_path)
    _must_fail(cli(*case.words.split()), case)


def _must_fail(outcome: Any, case: Command) -> None:
    told = [line for line in outcome.err.splitlines() if not line.startswith(("epoch", "stopped"))]
    assert told == [f"gradloom: {case.message}"]
    assert outcome.code == case.code
    assert not list(Path.cwd().glob("runs/*")), "a failed command leaves no run behind"


class Net(nn.Module):
    """A network of a user's own."""

    def __init__(self) -> None:
        self.encoder = nn.Dense(4)
        self.head = nn.Dense(2)

    def forward(self, x: Any) -> Any:
        return self.head(self.encoder(x))


def _net() -> Net:
    net = Net()
    net.initialize(np.zeros((1, 3), np.float32))
    return net


def _wrong_joint() -> Any:
    net = _net()
    net.head = net.encoder
    return net(np.zeros((5, 3), np.float32))


def _fit(x: Any, y: Any, *, loss: str = "cross_entropy", last: nn.Module | None = None) -> Any:
    layers = [nn.Dense(2), *([last] if last else [])]
    return train.Trainer(nn.Sequential(*layers), loss).fit((x, y), epochs=1, progress="silent")


@dataclass(frozen=True)
class Call:
    """A call that must fail, the class of the error, its message."""

    call: Callable[[], Any]
    error: type[GradloomError]
    message: str


X, Y = np.zeros((8, 3), np.float32), np.arange(8) % 2

CALLS = {
    "width of an inner layer": Call(
        _wrong_joint,
        ShapeError,
        "in Net > encoder (Dense): expected 3 features on the last axis; got 4 in float32[5,4]. The "
        "layer took its width from its first input: give inputs of that width, or make a new layer.",
    ),
    "width of the input": Call(
        lambda: _net()(np.zeros((5, 7), np.float32)),
        ShapeError,
        "in Net > encoder (Dense): expected 3 features on the last axis; got 7 in float32[5,7]. The "
        "layer took its width from its first input: give inputs of that width, or make a new layer.",
    ),
    "units": Call(
        lambda: nn.Dense(0),
        OptionError,
        "Dense: units is a whole number from 1; got 0. Use 1 or a larger whole number.",
    ),
    "unknown activation": Call(
        lambda: nn.Dense(3, activation="rellu"),
        UnknownNameError,
        "Activation: no activation has this name; got 'rellu'. Did you mean 'relu'? Known: elu, gelu, "
        "identity, leaky_relu, linear, relu, sigmoid, sign, silu, softmax, softplus, step, tanh.",
    ),
    "dropout rate": Call(
        lambda: nn.Dropout(1.5),
        OptionError,
        "Dropout: rate is a finite number from 0 to 1; got 1.5. Use e.g. 0.5, or 0 to drop nothing.",
    ),
    "unknown metric": Call(
        lambda: train.Trainer(_net(), metrics=["acuracy"]),
        UnknownNameError,
        "metrics.get: no metric has this name; got 'acuracy'. Did you mean 'accuracy'? Known: accuracy, "
        "class_dice, class_iou, confusion_matrix, dice, error_rate, f1, iou, mae, mean_iou, mse, precision, r2, "
        "recall, rmse, roc_auc, top_3, top_5.",
    ),
    "unknown loss": Call(
        lambda: train.Trainer(_net(), "cross_entrop"),
        UnknownNameError,
        "losses.get: no loss has this name; got 'cross_entrop'. Did you mean 'cross_entropy'? Known: "
        "absolute_error, binary_cross_entropy, binary_dice, binary_focal, binary_iou, binary_tversky, cross_entropy, "
        "dice, focal, half_squared_error, huber, iou, mae, mse, squared_error, sum_squared_error, tversky.",
    ),
    "learning rate": Call(
        lambda: optim.Adam(-1.0),
        OptionError,
        "Adam: lr is a finite number not below 0; got lr=-1.0. Use a positive rate, e.g. 0.001.",
    ),
    "shapes that only broadcast": Call(
        lambda: nn.losses.get("squared_error")(np.zeros((8, 1), np.float32), np.zeros(8, np.float32)),
        ShapeError,
        "SquaredError: outputs and targets must have one shape; they do not broadcast; got outputs "
        "float32[8,1] and targets float32[8]. Reshape the targets to (8, 1), or the outputs to (8,).",
    ),
    "softmax before cross-entropy": Call(
        lambda: _fit(X, Y, last=nn.Softmax()),
        OptionError,
        "CrossEntropy: the loss takes logits and applies the softmax itself; got the output of a softmax made"
        " in Sequential/layers.1. Remove the softmax after the last layer.",
    ),
    "sigmoid before cross-entropy": Call(
        lambda: _fit(X, np.zeros((8, 2), np.float32), loss="binary_cross_entropy", last=nn.Sigmoid()),
        OptionError,
        "BinaryCrossEntropy: the loss takes logits and applies the sigmoid itself; got the output of a "
        "sigmoid made in Sequential/layers.1. Remove the sigmoid after the last layer, or use "
        "BinaryCrossEntropy(from_logits=False).",
    ),
    "labels as floats": Call(
        lambda: _fit(X, Y.astype(np.float32)),
        GradloomError,
        "CrossEntropy: class indices are integers; got float32[8]. Convert them with gl.cast(targets, "
        "'int64'), or pass one-hot rows.",
    ),
    "lengths": Call(
        lambda: _fit(X, Y[:5]), ShapeError, "fit: inputs, targets and weights must have equal lengths; got 8, 5 and 8"
    ),
    "text as inputs": Call(
        lambda: _fit(np.array([["a"]] * 8), Y),
        DataError,
        "fit inputs: values must be numbers; got <U1. Encode text first, e.g. with data.pipeline.",
    ),
    "NaN in inputs": Call(
        lambda: _fit(np.full((8, 3), np.nan), Y),
        DataError,
        "fit inputs: values must be finite; got nan at (0, 0) (24 such values). Impute or drop missing "
        "values, and find out where infinities come from.",
    ),
    "no rows": Call(lambda: _fit(X[:0], Y[:0]), DataError, "fit inputs: at least one row is needed; got shape (0, 3)"),
    "no targets": Call(
        lambda: train.Trainer(_net()).fit(X),
        DataError,
        "fit: a data set is (inputs, targets) or (inputs, targets, weights); got ndarray",
    ),
    "prediction before training": Call(
        lambda: train.Trainer(_net()).predict(X),
        OptionError,
        "predict: the model must be trained or loaded first; got a model without parameters. "
        "Call fit before, or load a model file.",
    ),
    "patience": Call(
        lambda: train.EarlyStopping(0),
        OptionError,
        "EarlyStopping: patience is a whole number from 1; got 0. Use 1 or a larger whole number.",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_call(name: str) -> None:
    case = CALLS[name]
    with pytest.raises(case.error) as caught:
        case.call()
    assert str(caught.value) == case.message


def test_a_model_file_cut_at_any_byte_is_refused(trained: Path, tmp_path: Path) -> None:
    """At every byte of the header's length and around its end, and at many between and behind."""
    whole = (trained / "model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", whole[:8])
    cuts = {*range(12), *range(8 + size - 4, 8 + size + 5), *range(0, len(whole), 997), len(whole) - 1}
    path = tmp_path / "model.safetensors"
    for end in sorted(cuts):
        path.write_bytes(whole[:end])
        with pytest.raises(GradloomError) as caught:
            train.load(path)
        assert str(path) in str(caught.value), f"cut at byte {end}"
        assert caught.value.fix, f"cut at byte {end}"


def test_there_are_at_least_forty_messages_and_each_has_its_own():
    messages = [case.message for table in (COMMANDS, MODEL_COMMANDS, CALLS) for case in table.values()]
    assert len(set(messages)) >= 40
