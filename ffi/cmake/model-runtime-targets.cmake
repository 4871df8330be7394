# The targets of the library, installed or built from source: model_runtime_targets(INCLUDE_DIRECTORY SHARED STATIC), where SHARED or
# STATIC may be empty or end in -NOTFOUND.

function(model_runtime_targets include shared static)
    if(shared AND NOT TARGET model-runtime::model-runtime)
        # Programs look for it at run time by its SONAME, a link beside it: two components in 0.x, one later.
        add_library(model-runtime::model-runtime SHARED IMPORTED GLOBAL)
        set_target_properties(model-runtime::model-runtime PROPERTIES
            IMPORTED_LOCATION "${shared}"
            INTERFACE_INCLUDE_DIRECTORIES "${include}")
    endif()
    if(static AND NOT TARGET model-runtime::static)
        # What rustc names as native-static-libs, and Libs.private in model-runtime.pc.
        add_library(model-runtime::static STATIC IMPORTED GLOBAL)
        set_target_properties(model-runtime::static PROPERTIES
            IMPORTED_LOCATION "${static}"
            INTERFACE_INCLUDE_DIRECTORIES "${include}"
            INTERFACE_LINK_LIBRARIES "gcc_s;util;rt;pthread;m;dl;c")
    endif()
endfunction()
