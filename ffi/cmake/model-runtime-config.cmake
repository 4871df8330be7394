# find_package(model-runtime): the library as it is installed. It is found relative to this file, so the installed tree may be moved.
#
# Targets:
#   model-runtime::model-runtime  the shared library (what most programs want)
#   model-runtime::static         the archive with everything it needs; at most one Rust archive per program
#
# Both bring the include directory with model_runtime.h and model_runtime.hpp.

get_filename_component(_model_runtime_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

find_path(_model_runtime_include model_runtime.h
    PATHS "${_model_runtime_prefix}/include" NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH NO_CACHE)
foreach(_model_runtime_kind IN ITEMS so a)
    find_file(_model_runtime_${_model_runtime_kind} "libmodel_runtime.${_model_runtime_kind}"
        PATHS "${_model_runtime_prefix}" PATH_SUFFIXES lib "lib/${CMAKE_LIBRARY_ARCHITECTURE}" lib64
        NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH NO_CACHE)
endforeach()

if(NOT _model_runtime_include OR NOT (_model_runtime_so OR _model_runtime_a))
    set(model-runtime_FOUND FALSE)
    set(model-runtime_NOT_FOUND_MESSAGE
        "model_runtime.h or libmodel_runtime is missing under ${_model_runtime_prefix}, where this file was installed")
else()
    if(_model_runtime_so AND NOT TARGET model-runtime::model-runtime)
        # The name that programs will look for at run time: the link beside the library that has two components in 0.x, one later.
        add_library(model-runtime::model-runtime SHARED IMPORTED)
        set_target_properties(model-runtime::model-runtime PROPERTIES
            IMPORTED_LOCATION "${_model_runtime_so}"
            INTERFACE_INCLUDE_DIRECTORIES "${_model_runtime_include}")
    endif()
    if(_model_runtime_a AND NOT TARGET model-runtime::static)
        # As Libs.private in model-runtime.pc.
        add_library(model-runtime::static STATIC IMPORTED)
        set_target_properties(model-runtime::static PROPERTIES
            IMPORTED_LOCATION "${_model_runtime_a}"
            IMPORTED_LINK_INTERFACE_LANGUAGES C
            INTERFACE_INCLUDE_DIRECTORIES "${_model_runtime_include}"
            INTERFACE_LINK_LIBRARIES "gcc_s;util;rt;pthread;m;dl;c")
    endif()
endif()

foreach(_model_runtime_name IN ITEMS prefix include so a kind name)
    unset(_model_runtime_${_model_runtime_name})
endforeach()
