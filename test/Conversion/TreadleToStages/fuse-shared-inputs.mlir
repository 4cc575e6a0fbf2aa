// RUN: treadle-opt %s --convert-treadle-to-stages --treadle-fuse-shared-inputs | FileCheck %s
// RUN: treadle-opt %s --convert-treadle-to-stages --treadle-fuse-shared-inputs=few-rows=0 \
// RUN:   | FileCheck %s --check-prefix=OFF
// RUN: treadle-opt %s --convert-treadle-to-stages --treadle-fuse-shared-inputs --treadle-fuse-epilogues \
// RUN:   | FileCheck %s --check-prefix=EPILOGUES

treadle.weight @w : !treadle.weight<128x32xf32, panels> from ["w"]

// The outputs are the common divisor: a tile of 16 is 16 of %k and 64 of %q.
// CHECK-LABEL: func.func @fires
// OFF-LABEL: func.func @fires
func.func @fires(%x: tensor<1x32xf32>, %w: !treadle.weight<512x32xf32, panels>, %b: !treadle.weight<128xf32, plain>)
    -> (tensor<1x512xf32>, tensor<1x128xf32>) {
  // CHECK: %[[W:.*]] = treadle.get_weight @w
  // CHECK: %[[Y:.*]]:2 = treadle.stage [<rows = 1>, <outputs = 128>] (%[[X:.*]] = %arg0 : tensor<1x32xf32> <0, all>, %{{.*}} = %arg1 : {{.*}} <1, all>, %{{.*}} = %[[W]] : {{.*}} <1, all>, %{{.*}} = %arg2 : {{.*}} <1>) -> (tensor<1x512xf32> <0, 1>, tensor<1x128xf32> <0, 1>)
  // CHECK-NEXT: %[[Q:.*]] = treadle.linear %[[X]]
  // CHECK-NEXT: %[[K:.*]] = treadle.linear %[[X]], {{.*}} bias
  // CHECK-NEXT: treadle.yield %[[Q]], %[[K]]
  // CHECK: return %[[Y]]#0, %[[Y]]#1
  // OFF-COUNT-2: treadle.stage
  %q = treadle.linear %x, %w : (tensor<1x32xf32>, !treadle.weight<512x32xf32, panels>) -> tensor<1x512xf32>
  %v = treadle.get_weight @w : !treadle.weight<128x32xf32, panels>
  %k = treadle.linear %x, %v bias %b : (tensor<1x32xf32>, !treadle.weight<128x32xf32, panels>, !treadle.weight<128xf32, plain>) -> tensor<1x128xf32>
  return %q, %k : tensor<1x512xf32>, tensor<1x128xf32>
}

// With the epilogue both products meet in registers.
// CHECK-LABEL: func.func @gated
// EPILOGUES-LABEL: func.func @gated
func.func @gated(%x: tensor<2x32xf32>, %w: !treadle.weight<48x32xf32, panels>, %v: !treadle.weight<48x32xf32, panels>) -> tensor<2x48xf32> {
  // CHECK-COUNT-2: treadle.stage
  // EPILOGUES: %[[Y:.*]] = treadle.stage [<rows = 2>, <outputs = 48>]
  // EPILOGUES-NEXT: %[[GATE:.*]] = treadle.linear
  // EPILOGUES-NEXT: %[[UP:.*]] = treadle.linear
  // EPILOGUES-NEXT: %[[GLU:.*]] = treadle.glu %[[GATE]], %[[UP]]
  // EPILOGUES-NEXT: treadle.yield %[[GLU]] : tensor<2x48xf32>
  // EPILOGUES-NOT: treadle.stage
  // EPILOGUES: return %[[Y]]
  %gate = treadle.linear %x, %w : (tensor<2x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<2x48xf32>
  %up = treadle.linear %x, %v : (tensor<2x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<2x48xf32>
  %y = treadle.glu %gate, %up {activation = #treadle.activation<silu>} : tensor<2x48xf32>
  return %y : tensor<2x48xf32>
}

// Inner products of one input become one stage, and so do the outer ones, which use its results.
// CHECK-LABEL: func.func @results_of_one_stage
func.func @results_of_one_stage(%x: tensor<1x32xf32>, %a: !treadle.weight<16x32xf32, panels>, %b: !treadle.weight<64x16xf32, panels>) -> (tensor<1x64xf32>, tensor<1x64xf32>) {
  // CHECK: %[[INNER:.*]]:2 = treadle.stage [<rows = 1>, <outputs = 16>]
  // CHECK: treadle.stage [<rows = 1>, <outputs = 64>] (%[[Q:.*]] = %[[INNER]]#0 {{.*}}, %[[K:.*]] = %[[INNER]]#1
  // CHECK-NEXT: treadle.linear %[[Q]]
  // CHECK-NEXT: treadle.linear %[[K]]
  // CHECK-NOT: treadle.stage
  // CHECK: return
  %i = treadle.linear %x, %a : (tensor<1x32xf32>, !treadle.weight<16x32xf32, panels>) -> tensor<1x16xf32>
  %q = treadle.linear %i, %b : (tensor<1x16xf32>, !treadle.weight<64x16xf32, panels>) -> tensor<1x64xf32>
  %j = treadle.linear %x, %a : (tensor<1x32xf32>, !treadle.weight<16x32xf32, panels>) -> tensor<1x16xf32>
  %k = treadle.linear %j, %b : (tensor<1x16xf32>, !treadle.weight<64x16xf32, panels>) -> tensor<1x64xf32>
  return %q, %k : tensor<1x64xf32>, tensor<1x64xf32>
}

// CHECK-LABEL: func.func @many_rows
func.func @many_rows(%x: tensor<16x32xf32>, %w: !treadle.weight<48x32xf32, panels>, %v: !treadle.weight<48x32xf32, panels>) -> (tensor<16x48xf32>, tensor<16x48xf32>) {
  // CHECK-COUNT-2: treadle.stage
  %a = treadle.linear %x, %w : (tensor<16x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<16x48xf32>
  %b = treadle.linear %x, %v : (tensor<16x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<16x48xf32>
  return %a, %b : tensor<16x48xf32>, tensor<16x48xf32>
}

// CHECK-LABEL: func.func @other_rows
func.func @other_rows(%x: tensor<1x32xf32>, %z: tensor<1x32xf32>, %w: !treadle.weight<48x32xf32, panels>) -> (tensor<1x48xf32>, tensor<1x48xf32>) {
  // CHECK-COUNT-2: treadle.stage
  %a = treadle.linear %x, %w : (tensor<1x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<1x48xf32>
  %b = treadle.linear %z, %w : (tensor<1x32xf32>, !treadle.weight<48x32xf32, panels>) -> tensor<1x48xf32>
  return %a, %b : tensor<1x48xf32>, tensor<1x48xf32>
}

// 1536 and 32 outputs have 2 panels in common: a team of three would have nothing to do for one.
// CHECK-LABEL: func.func @few_tiles
func.func @few_tiles(%x: tensor<1x32xf32>, %w: !treadle.weight<1536x32xf32, panels>, %v: !treadle.weight<32x32xf32, panels>) -> (tensor<1x1536xf32>, tensor<1x32xf32>) {
  // CHECK-COUNT-2: treadle.stage
  %a = treadle.linear %x, %w : (tensor<1x32xf32>, !treadle.weight<1536x32xf32, panels>) -> tensor<1x1536xf32>
  %b = treadle.linear %x, %v : (tensor<1x32xf32>, !treadle.weight<32x32xf32, panels>) -> tensor<1x32xf32>
  return %a, %b : tensor<1x1536xf32>, tensor<1x32xf32>
}

// Each tile of the second needs all of the first.
// CHECK-LABEL: func.func @multiplied_again
func.func @multiplied_again(%x: tensor<1x48xf32>, %w: !treadle.weight<48x48xf32, panels>) -> tensor<1x48xf32> {
  // CHECK-COUNT-2: treadle.stage
  %a = treadle.linear %x, %w : (tensor<1x48xf32>, !treadle.weight<48x48xf32, panels>) -> tensor<1x48xf32>
  %b = treadle.linear %a, %w : (tensor<1x48xf32>, !treadle.weight<48x48xf32, panels>) -> tensor<1x48xf32>
  return %b : tensor<1x48xf32>
}

// CHECK-LABEL: func.func @groups
func.func @groups(%x: tensor<1x32xf32>, %w: !treadle.weight<24x16xf32, panels>) -> (tensor<1x48xf32>, tensor<1x48xf32>) {
  // CHECK-COUNT-2: treadle.stage
  %a = treadle.linear %x, %w {groups = 2 : i64} : (tensor<1x32xf32>, !treadle.weight<24x16xf32, panels>) -> tensor<1x48xf32>
  %b = treadle.linear %x, %w {groups = 2 : i64} : (tensor<1x32xf32>, !treadle.weight<24x16xf32, panels>) -> tensor<1x48xf32>
  return %a, %b : tensor<1x48xf32>, tensor<1x48xf32>
}
