// RUN: treadle-opt %s --split-input-file --verify-diagnostics --treadle-check-self-contained

llvm.func @kernel(%x: f32) -> f32 {
  %y = llvm.fadd %x, %x : f32
  llvm.return %y : f32
}
llvm.func @entry(%x: f32) -> f32 {
  %y = llvm.call @kernel(%x) : (f32) -> f32
  llvm.return %y : f32
}

// -----

llvm.func @malloc(i64) -> !llvm.ptr
llvm.func @outside(%size: i64) -> !llvm.ptr {
  // expected-error @+1 {{calls 'malloc', which no library provides}}
  %memory = llvm.call @malloc(%size) : (i64) -> !llvm.ptr
  llvm.return %memory : !llvm.ptr
}

// -----

llvm.func @indirect(%function: !llvm.ptr) {
  // expected-error @+1 {{is indirect, expected a call of a kernel}}
  llvm.call %function() : !llvm.ptr, () -> ()
  llvm.return
}

// -----

llvm.func @remainder(%x: f32) -> f32 {
  // expected-error @+1 {{has no inline form and would call a mathematical library}}
  %y = llvm.frem %x, %x : f32
  llvm.return %y : f32
}

// -----

llvm.func @fast(%x: f32) -> f32 {
  // expected-error @+1 {{has a fast-math flag, which lets bits depend on optimisation}}
  %y = llvm.fadd %x, %x {fastmathFlags = #llvm.fastmath<contract>} : f32
  llvm.return %y : f32
}
