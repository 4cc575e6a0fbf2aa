//===- Products.h - Products that run together -----------------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_STAGESTOVECTOR_PRODUCTS_H
#define TREADLE_LIB_CONVERSION_STAGESTOVECTOR_PRODUCTS_H

#include "StageKernel.h"

namespace treadle {

/// A matrix in memory.
struct Matrix {
  mlir::Value weight;
  mlir::Value bias; // or null
  int64_t outputs;
  int64_t panels; // of a unit
};

/// An input times a matrix.
struct Product {
  unsigned input, matrix;
  mlir::Value result; // in the body of the stage
};

/// What runs together: products with as much of K, by weights of one type, as many of each matrix.
struct Products {
  llvm::SmallVector<mlir::Value> inputs; // in memory
  llvm::SmallVector<Matrix> matrices;
  llvm::SmallVector<Product> products; // by matrix
  WeightType type;                     // of the first matrix
  int64_t groups;

  int64_t perMatrix() const { return products.size() / matrices.size(); }
  /// The products of a matrix.
  llvm::ArrayRef<Product> productsOf(unsigned matrix) const {
    return llvm::ArrayRef(products).slice(matrix * perMatrix(), perMatrix());
  }
  /// Whether each group of columns has a matrix of its own.
  bool isStack() const { return type.getShape().size() == 3; }
  /// Numbers of K.
  int64_t getInner() const { return type.getShape().back(); }
  /// The matrices, those with as many outputs together.
  llvm::SmallVector<llvm::SmallVector<unsigned>> findAlike() const;
};

/// Adds the biases to finished sums of the 16 columns from `column` on, of the group's part of some
/// matrices, by matrix and product, and hands them on.
void storeSums(StageKernel &kernel, const Products &work, mlir::Value group,
               llvm::ArrayRef<unsigned> matrices, llvm::ArrayRef<mlir::Value> sums, mlir::Value row,
               mlir::Value column);

/// The products of a step with matrices in bf16, on a machine with tensor cores.
void emitTensorProducts(StageKernel &kernel, const Products &work);

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_STAGESTOVECTOR_PRODUCTS_H
