// RUN: treadle-opt %s --test-layout -o /dev/null | FileCheck %s
// Symbols in the order of the module, each slot on a border of 64 bytes.

// A panel holds 16 outputs, and 32 bits of inputs per output: 2 x 40 x 16 x 1 f32.
// CHECK: weight @f32: offset 0, stride 5120
treadle.weight @f32 : !treadle.weight<17x40xf32, panels> from ["a"]
// 2 x 3 x 16 x 2 bf16: an odd K is filled up.
// CHECK-NEXT: weight @bf16: offset 5120, stride 384
treadle.weight @bf16 : !treadle.weight<17x5xbf16, panels> slots [3] from ["b", "c", "d"]
// CHECK-NEXT: weight @scalar: offset 6272, stride 64
treadle.weight @scalar : !treadle.weight<f32, plain> from ["e"]
// 40 f32 are 160 bytes.
// CHECK-NEXT: weight @plain: offset 6336, stride 192
treadle.weight @plain : !treadle.weight<40xf32, plain> slots [2, 2] from ["f", "g", "h", "i"]
// A stack of 3: as many panels as one matrix, three times.
// CHECK-NEXT: weight @stack: offset 7104, stride 15360
treadle.weight @stack : !treadle.weight<3x17x40xf32, panels> from ["j"]
// CHECK-NEXT: weight bytes: 22464

// CHECK-NEXT: state @mask: offset 0, stride 128
treadle.state @mask : !treadle.state<append, 100xi8>
// CHECK-NEXT: state @keys: offset 128, stride 2048
treadle.state @keys : !treadle.state<append, 64x16xbf16> slots [4, 2] loop_slot 0
// CHECK-NEXT: state @ring: offset 16512, stride 128
treadle.state @ring : !treadle.state<ring, 3x8xf32>
// CHECK-NEXT: state bytes: 16640
