// RUN: treadle-opt %s --split-input-file --verify-diagnostics
// One function per numbered constraint of treadle.multiply_panels.

func.func @multiply_panels_c1(%x: memref<1x70xf32>, %w: memref<3x34x16xi32>, %sums: memref<64x16xi32>, %i: index) {
  // expected-error@+1 {{expects panels of 35 words of 16 outputs for 70 numbers of K, got 'memref<3x34x16xi32>'}}
  treadle.multiply_panels %sums = (%x) [%i, %i] rows %i by %w[%i] panels %i {inner = 70 : i64, most_rows = 1 : i64, most_panels = 1 : i64}
    : memref<64x16xi32>, (memref<1x70xf32>), memref<3x34x16xi32>
  return
}

// -----

func.func @multiply_panels_c1_group(%x: memref<1x70xf32>, %w: memref<2x3x35x16xi32>, %sums: memref<64x16xi32>, %i: index) {
  // expected-error@+1 {{expects a group of a stack of matrices, and of nothing else}}
  treadle.multiply_panels %sums = (%x) [%i, %i] rows %i by %w[%i] panels %i {inner = 70 : i64, most_rows = 1 : i64, most_panels = 1 : i64}
    : memref<64x16xi32>, (memref<1x70xf32>), memref<2x3x35x16xi32>
  return
}

// -----

func.func @multiply_panels_c2(%w: memref<3x35x16xi32>, %sums: memref<64x16xi32>, %i: index) {
  // expected-error@+1 {{expects an input}}
  "treadle.multiply_panels"(%sums, %i, %i, %i, %w, %i, %i) <{
      inner = 70 : i64, most_rows = 1 : i64, most_panels = 1 : i64, operandSegmentSizes = array<i32: 1, 0, 1, 1, 1, 1, 0, 1, 1>}>
    : (memref<64x16xi32>, index, index, index, memref<3x35x16xi32>, index, index) -> ()
  return
}

// -----

func.func @multiply_panels_c6(%x: memref<1x69xi16>, %w: memref<3x35x16xi32>, %sums: memref<64x16xi32>, %i: index) {
  // expected-error@+1 {{expects f32 where rows have an odd number of columns, got 'memref<1x69xi16>'}}
  treadle.multiply_panels %sums = (%x) [%i, %i] rows %i by %w[%i] panels %i {inner = 69 : i64, most_rows = 1 : i64, most_panels = 1 : i64}
    : memref<64x16xi32>, (memref<1x69xi16>), memref<3x35x16xi32>
  return
}

// -----

// The sums of three slices, and the result.
func.func @multiply_panels_c3(%x: memref<1x70xf32>, %w: memref<3x35x16xi32>, %sums: memref<7x16xi32>, %i: index) {
  // expected-error@+1 {{expects sums in 8 rows of 16 words or more, got 'memref<7x16xi32>'}}
  treadle.multiply_panels %sums = (%x) [%i, %i] rows %i by %w[%i] panels %i {inner = 70 : i64, most_rows = 2 : i64, most_panels = 1 : i64}
    : memref<7x16xi32>, (memref<1x70xf32>), memref<3x35x16xi32>
  return
}

// -----

func.func @multiply_panels_c4(%x: memref<32x70xf32>, %w: memref<3x35x16xi32>, %sums: memref<999x16xi32>, %i: index) {
  // expected-error@+1 {{expects 1 to 16 rows or a multiple of 64, got 32}}
  treadle.multiply_panels %sums = (%x) [%i, %i] rows %i by %w[%i] panels %i {inner = 70 : i64, most_rows = 32 : i64, most_panels = 4 : i64}
    : memref<999x16xi32>, (memref<32x70xf32>), memref<3x35x16xi32>
  return
}

// -----

func.func @multiply_panels_c4_inputs(%x: memref<64x70xf32>, %w: memref<3x35x16xi32>, %sums: memref<999x16xi32>, %i: index) {
  // expected-error@+1 {{expects one input of 64 rows, got 2}}
  treadle.multiply_panels %sums = (%x, %x) [%i, %i] rows %i by %w[%i] panels %i {inner = 70 : i64, most_rows = 64 : i64, most_panels = 4 : i64}
    : memref<999x16xi32>, (memref<64x70xf32>, memref<64x70xf32>), memref<3x35x16xi32>
  return
}

// -----

func.func @multiply_panels_c5(%x: memref<64x70xf32>, %w: memref<3x35x16xi32>, %sums: memref<999x16xi32>, %i: index) {
  // expected-error@+1 {{expects a positive number of panels, 4 or 8 of many rows, got 2}}
  treadle.multiply_panels %sums = (%x) [%i, %i] rows %i by %w[%i] panels %i {inner = 70 : i64, most_rows = 64 : i64, most_panels = 2 : i64}
    : memref<999x16xi32>, (memref<64x70xf32>), memref<3x35x16xi32>
  return
}
