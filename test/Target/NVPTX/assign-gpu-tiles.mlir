// RUN: treadle-opt %s --convert-treadle-to-stages --treadle-gpu-assign-tiles | FileCheck %s

// One row, one head or 16 columns; matrices as many rows as divide them, up to 16.
// CHECK-LABEL: func.func @tiles
func.func @tiles(%x: tensor<128x64xf32>, %few: tensor<10x64xf32>, %w: !treadle.weight<48x64xf32, panels>,
                 %n: !treadle.weight<64xf32, plain>, %t: tensor<128x2x8xf32>, %sum: !treadle.state<append, 512x64xf32>,
                 %mask: !treadle.state<append, 512xi8>, %position: index, %valid: index) {
  // CHECK: treadle.stage [<rows = 128>, <outputs = 48>]
  // CHECK-SAME: tile = #treadle.tile<16, 16>
  // CHECK: treadle.stage [<rows = 10>, <outputs = 48>]
  // CHECK-SAME: tile = #treadle.tile<10, 16>
  // CHECK: treadle.stage [<rows = 128>]
  // CHECK-SAME: tile = #treadle.tile<1>
  // CHECK: treadle.stage [<rows = 128>, <heads = 4>]
  // CHECK-SAME: tile = #treadle.tile<1, 1>
  // CHECK: treadle.stage [<rows = 128>, <outputs = 64>]
  // CHECK-SAME: tile = #treadle.tile<1, 16>
  // CHECK: treadle.stage [<outputs = 64>]
  // CHECK-SAME: tile = #treadle.tile<16>
  %a = treadle.linear %x, %w : (tensor<128x64xf32>, !treadle.weight<48x64xf32, panels>) -> tensor<128x48xf32>
  %b = treadle.linear %few, %w : (tensor<10x64xf32>, !treadle.weight<48x64xf32, panels>) -> tensor<10x48xf32>
  %c = treadle.rms_norm %x, %n {eps = 1.0e-6 : f32} : (tensor<128x64xf32>, !treadle.weight<64xf32, plain>) -> tensor<128x64xf32>
  %d = treadle.rope %c, %t {heads = 4 : i64, pairing = #treadle.rope_pairing<half>} : (tensor<128x64xf32>, tensor<128x2x8xf32>) -> tensor<128x64xf32>
  %e = treadle.activate %d {activation = #treadle.activation<silu>} : tensor<128x64xf32>
  treadle.running_sum %e, %sum, %mask at %position valid %valid : tensor<128x64xf32>, !treadle.state<append, 512x64xf32>, !treadle.state<append, 512xi8>
  return
}

// Of a matrix in bf16 many rows share a tile, and more outputs where there are tiles enough.
// CHECK-LABEL: func.func @tensor_cores
func.func @tensor_cores(%x: tensor<128x64xf32>, %some: tensor<32x64xf32>, %w: !treadle.weight<48x64xbf16, panels>,
                        %large: !treadle.weight<8192x64xbf16, panels>, %stack: !treadle.weight<2x48x32xbf16, panels>) {
  // CHECK: treadle.stage [<rows = 128>, <outputs = 48>]
  // CHECK-SAME: tile = #treadle.tile<64, 64>
  // CHECK: treadle.stage [<rows = 32>, <outputs = 48>]
  // CHECK-SAME: tile = #treadle.tile<16, 16>
  // CHECK: treadle.stage [<rows = 128>, <outputs = 8192>]
  // CHECK-SAME: tile = #treadle.tile<64, 128>
  // CHECK: treadle.stage [<rows = 128>, <heads = 2>]
  // CHECK-SAME: tile = #treadle.tile<64, 1>
  // CHECK: treadle.stage [<rows = 128>, <outputs = 48>]
  // CHECK-SAME: tile = #treadle.tile<16, 16>
  %a = treadle.linear %x, %w : (tensor<128x64xf32>, !treadle.weight<48x64xbf16, panels>) -> tensor<128x48xf32>
  %b = treadle.linear %some, %w : (tensor<32x64xf32>, !treadle.weight<48x64xbf16, panels>) -> tensor<32x48xf32>
  %c = treadle.linear %x, %large : (tensor<128x64xf32>, !treadle.weight<8192x64xbf16, panels>) -> tensor<128x8192xf32>
  %d = treadle.linear %x, %stack {groups = 2 : i64} : (tensor<128x64xf32>, !treadle.weight<2x48x32xbf16, panels>) -> tensor<128x96xf32>
  %e, %f = treadle.joint_linear (%x, %x), %w : (tensor<128x64xf32>, tensor<128x64xf32>, !treadle.weight<48x64xbf16, panels>) -> (tensor<128x48xf32>, tensor<128x48xf32>)
  return
}

// What has a tile keeps it.
// CHECK-LABEL: func.func @given
func.func @given(%x: tensor<128x64xf32>) -> tensor<128x64xf32> {
  // CHECK: tile = #treadle.tile<4, 64>
  %y = treadle.stage [<rows = 128>, <outputs = 64>] (%a = %x : tensor<128x64xf32> <0, 1>) -> (tensor<128x64xf32> <0, 1>) attributes {tile = #treadle.tile<4, 64>} {
    %0 = treadle.activate %a {activation = #treadle.activation<silu>} : tensor<128x64xf32>
    treadle.yield %0 : tensor<128x64xf32>
  }
  return %y : tensor<128x64xf32>
}
